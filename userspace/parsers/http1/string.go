package http1

import "fmt"

// String tells a person what was asked for.
func (r *Request) String() string {
	return fmt.Sprintf("%s %s host=%s", r.Method, r.Target, r.Host) + r.extent()
}

// String tells a person what came back.
func (r *Response) String() string { return fmt.Sprintf("%d %s", r.Status, r.Reason) + r.extent() }

// extent tells the size of the body, and whether all of it was seen.
func (m *Message) extent() string {
	s := ""
	if m.BodyBytes > 0 {
		s = fmt.Sprintf(" body=%d", m.BodyBytes)
	}
	if m.Incomplete {
		s += " incomplete"
	}
	return s
}
