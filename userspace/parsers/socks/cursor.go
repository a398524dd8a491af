package socks

// A state is how far a cursor got. The worse of two sides counts.
type state uint8

const (
	good  state = iota
	short       // more bytes are needed
	bad         // not SOCKS, or nothing we follow
)

// A cursor reads from the start of what one side sent. At the first byte that is
// missing or wrong it stands still, and reads zeros.
type cursor struct {
	b     []byte
	at    int
	state state
}

func (c *cursor) fail(s state) {
	if c.state == good {
		c.state = s
	}
}

// next reads a byte.
func (c *cursor) next() byte {
	if c.at >= len(c.b) {
		c.fail(short)
	}
	if c.state != good {
		return 0
	}
	c.at++
	return c.b[c.at-1]
}

// want reads a byte that has to be v.
func (c *cursor) want(v byte) {
	if got := c.next(); c.state == good && got != v {
		c.state = bad
	}
}

// skip passes over n bytes.
func (c *cursor) skip(n int) {
	for range n {
		c.next()
	}
}

// text passes over a name and the zero behind it.
func (c *cursor) text() {
	for n := 0; c.next() != 0; n++ {
		if n == maxText {
			c.fail(bad)
		}
	}
}

// request4 reads the request of SOCKS 4. An address 0.0.0.x stands for a name that
// follows (4a).
func (c *cursor) request4() {
	c.want(version4)
	c.want(connect)
	if port := int(c.next())<<8 | int(c.next()); c.state == good && port == 0 {
		c.state = bad
	}
	var ip [4]byte
	for i := range ip {
		ip[i] = c.next()
	}
	c.text()
	if [3]byte(ip[:3]) == [3]byte{} && ip[3] != 0 {
		c.text()
	}
}

// methods reads the greeting of SOCKS 5: the authentication methods on offer.
func (c *cursor) methods() {
	c.want(version5)
	n := c.next()
	if c.state == good && (n == 0 || n > maxMethods) {
		c.state = bad
	}
	c.skip(int(n))
}

// address5 reads a request or a reply of SOCKS 5: kind is the command, or the
// outcome.
func (c *cursor) address5(kind byte) {
	c.want(version5)
	c.want(kind)
	c.want(0)
	switch c.next() {
	case addrIPv4:
		c.skip(4)
	case addrName:
		c.skip(int(c.next()))
	case addrIPv6:
		c.skip(16)
	default:
		c.fail(bad)
	}
	c.skip(2)
}
