package tracegen

// A damage says how many of a hundred segments of payload something befalls, and of
// flows for tunnelled.
type damage struct {
	resent    int // lost before the capture point and sent again some packets later
	swapped   int // overtaken by the next packet of the flow
	doubled   int // sent twice
	missing   int // acknowledged, and never captured; only of talks that may gape
	tunnelled int
}

// A tunnel is what the frames of a flow are wrapped in.
type tunnel int

const (
	untunnelled tunnel = iota
	inVLAN
	inVXLAN
	inGRE
	inIPIP
	tunnels
)

// A lane carries the packets of one talk to the trace, and damages some.
type lane struct {
	*damage
	tunnel tunnel
	gapes  bool   // segments may be missing for good
	held   []late // in order of sequence
	copy   packet // to be sent next, once more
	double bool
}

// A late is a packet that comes after some that were sent later.
type late struct {
	packet
	after int // packets to let by
}

func (l *lane) begin(m *maker, d *damage) {
	l.damage = d
	if m.IntN(100) < d.tunnelled {
		l.tunnel = tunnel(1 + m.IntN(int(tunnels)-1))
	}
}

// next returns the next packet that the capture sees.
func (l *lane) next(m *maker, t *talk) (packet, bool) {
	if l.double {
		l.double = false
		return l.copy, true
	}
	for {
		if len(l.held) > 0 && l.held[0].after <= 0 {
			p := l.held[0].packet
			l.held = l.held[1:]
			return p, true
		}
		p, ok := t.next()
		if !ok {
			return p, false
		}
		if p.flags&flagACK != 0 && t.proto == protoTCP {
			l.acknowledge(&p)
		}
		if !l.befall(m, t, &p) {
			return p, true
		}
	}
}

// acknowledge takes back the acknowledgment of segments that are still to come.
func (l *lane) acknowledge(p *packet) {
	for i := range l.held {
		if h := &l.held[i]; h.side != p.side && int32(h.seq-p.ack) < 0 {
			p.ack = h.seq
		}
	}
}

// befall reports whether the packet is not to be seen now. The last segment of what is
// said lets all that are late come before the other side answers.
func (l *lane) befall(m *maker, t *talk, p *packet) bool {
	for i := range l.held {
		l.held[i].after--
		if p.flags&flagPSH != 0 {
			l.held[i].after = 0
		}
	}
	if t.proto != protoTCP || len(p.payload) == 0 || p.flags&flagPSH != 0 {
		return false
	}
	roll := m.IntN(100)
	switch {
	case roll < l.resent:
		l.hold(p, m.between(3, 8))
	case roll < l.resent+l.swapped:
		l.hold(p, 1)
	case roll < l.resent+l.swapped+l.doubled:
		l.copy, l.double = *p, true
		l.copy.again = true
		return false
	case l.gapes && roll < l.resent+l.swapped+l.doubled+l.missing:
		t.miss(p)
	default:
		return false
	}
	return true
}

// hold keeps a packet back, not before those that are held already.
func (l *lane) hold(p *packet, after int) {
	if n := len(l.held); n > 0 {
		after = max(after, l.held[n-1].after)
	}
	l.held = append(l.held, late{*p, after})
}

// miss notes a segment that the capture never sees.
func (t *talk) miss(p *packet) {
	t.truth.side(p.side).MissedBytes += uint64(len(p.payload))
	t.digest[p.side].gap(p.seq)
}
