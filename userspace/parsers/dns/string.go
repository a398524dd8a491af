package dns

import (
	"fmt"
	"strings"
)

// String tells a person what was asked, and what came back.
func (m *Message) String() string {
	var l []string
	for i := range m.Questions {
		l = append(l, m.Questions[i].Type.String()+" "+m.Questions[i].Name)
	}
	if m.Is() == Response {
		l = append(l, m.Rcode.String())
	}
	for i := range m.Answers {
		l = append(l, m.Answers[i].Data)
	}
	if m.HasRTT {
		l = append(l, fmt.Sprintf("rtt=%v", m.RTT))
	}
	return strings.Join(l, " ")
}
