package decode

import (
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// FuzzDecodersAgree: any bytes of any link type, cut anywhere, give the same packet in
// both engines. linear is how much of the frame is in the linear part, 0 for all.
func FuzzDecodersAgree(f *testing.F) {
	k := load(f, knobs{"fs_replay": uint8(1)})
	for _, s := range samples() {
		v := s.packet.View()
		f.Add(v.Frame, uint16(v.LinkType), uint16(0), uint16(0))
	}
	splits := k.splits(f)
	var d packet.Decoder
	f.Fuzz(func(t *testing.T, frame []byte, link, missing, linear uint16) {
		frame = frame[:min(len(frame), maxFrame)]
		v := packet.View{Frame: frame, Time: flow.Timestamp(len(frame)), OrigLen: len(frame) + int(missing), LinkType: packet.LinkType(link)}
		if !splits {
			linear = 0
		}
		k.check(t, &d, &v, int(linear))
	})
}
