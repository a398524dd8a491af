package tracegen_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/flowscope/flowscope-xdp/tests/tracegen"
)

func write(t *testing.T, o tracegen.Options) ([]byte, []*tracegen.Flow) {
	t.Helper()
	var b bytes.Buffer
	flows, err := tracegen.Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), flows
}

func small(kind tracegen.Kind) tracegen.Options {
	return tracegen.Options{Kind: kind, Seed: 3, Flows: 50, Bytes: 1 << 17}
}

func TestSameSeedSameTrace(t *testing.T) {
	for _, kind := range tracegen.Kinds {
		a, _ := write(t, small(kind))
		b, _ := write(t, small(kind))
		o := small(kind)
		o.Seed++
		c, _ := write(t, o)
		if !bytes.Equal(a, b) || bytes.Equal(a, c) {
			t.Errorf("%s: same seed same bytes: %v, other seed same bytes: %v", kind, bytes.Equal(a, b), bytes.Equal(a, c))
		}
	}
}

func TestUnknownKind(t *testing.T) {
	if _, err := tracegen.Write(io.Discard, tracegen.Options{Kind: "thin"}); err == nil {
		t.Error("no error for an unknown kind")
	}
}

// TestFramesAreWellFormed reads the traces with gopacket: every layer decodes, TCP's
// checksums are right, and the truth has all packets.
func TestFramesAreWellFormed(t *testing.T) {
	for _, kind := range tracegen.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			file, flows := write(t, small(kind))
			r, err := pcapgo.NewReader(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			n := uint64(0)
			for ; ; n++ {
				data, _, err := r.ReadPacketData()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				checkFrame(t, data)
			}
			for _, f := range flows {
				n -= f.Initiator.Packets + f.Responder.Packets
			}
			if n != 0 || len(flows) != 50 {
				t.Errorf("%d flows, %d packets more than they have", len(flows), int64(n))
			}
		})
	}
}

func checkFrame(t *testing.T, data []byte) {
	t.Helper()
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{})
	if e := p.ErrorLayer(); e != nil && p.Layer(layers.LayerTypeDNS) == nil {
		t.Fatalf("%v in\n%v", e.Error(), p)
	}
	for i, l := range p.Layers() {
		tcp, ok := l.(*layers.TCP)
		if !ok {
			continue
		}
		tcp.SetNetworkLayerForChecksum(p.Layers()[i-1].(gopacket.NetworkLayer))
		// Over a right checksum the sum is 0.
		if sum, err := tcp.ComputeChecksum(); sum != 0 || err != nil {
			t.Fatalf("TCP checksum is off by %#x, error %v, in\n%v", sum, err, p)
		}
	}
}
