package packettest

import (
	"io"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
)

// Start is the time of the first packet of a trace: 2024-01-01T00:00:00Z.
const Start flow.Timestamp = 1704067200_000000000

// Step is the time between two packets of a trace.
const Step = time.Millisecond

// A Frame is a captured frame of a trace.
type Frame = packet.View

// Trace returns the packets as frames, the first at Start and each of the others
// Step after the one before it, unless At says otherwise.
func Trace(packets ...Packet) []Frame {
	frames := make([]Frame, 0, len(packets))
	at := time.Duration(0)
	for _, p := range packets {
		if p.timed {
			at = p.at
		}
		f := p.View()
		f.Time = Start.Add(at)
		frames = append(frames, f)
		at += Step
	}
	return frames
}

// WritePcap writes frames as a pcap file with nanoseconds. The link type is that of
// the first frame.
func WritePcap(w io.Writer, frames []Frame) error {
	link := packet.LinkEthernet
	if len(frames) > 0 {
		link = frames[0].LinkType
	}
	pw := pcapgo.NewWriterNanos(w)
	if err := pw.WriteFileHeader(262144, layers.LinkType(link)); err != nil {
		return err
	}
	for _, f := range frames {
		ci := gopacket.CaptureInfo{Timestamp: f.Time.Time(), CaptureLength: len(f.Frame), Length: f.WireLen()}
		if err := pw.WritePacket(ci, f.Frame); err != nil {
			return err
		}
	}
	return nil
}
