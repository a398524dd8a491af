package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/gopacket/reassembly"
)

// gopacketArg makes the command a program of gopacket's usual kind.
const gopacketArg = "gopacket"

// A flowKey is a five-tuple, in one direction.
type flowKey struct {
	network, transport gopacket.Flow
	proto              layers.IPProtocol
}

type tally struct{ packets, bytes uint64 }

// A counter decodes as gopacket recommends for speed, and counts flows in a map.
type counter struct {
	parser  *gopacket.DecodingLayerParser
	decoded []gopacket.LayerType
	ip4     layers.IPv4
	ip6     layers.IPv6
	tcp     layers.TCP
	udp     layers.UDP
	flows   map[flowKey]*tally
}

func newCounter() *counter {
	c := &counter{flows: map[flowKey]*tally{}}
	c.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet,
		&layers.Ethernet{}, &layers.Dot1Q{}, &c.ip4, &c.ip6, &c.tcp, &c.udp)
	c.parser.IgnoreUnsupported = true
	return c
}

// packet counts one frame, and returns its network flow and whether it is TCP.
func (c *counter) packet(data []byte, size int) (network gopacket.Flow, isTCP bool) {
	if err := c.parser.DecodeLayers(data, &c.decoded); err != nil {
		return network, false
	}
	var k flowKey
	for _, t := range c.decoded {
		switch t {
		case layers.LayerTypeIPv4:
			k.network, k.proto = c.ip4.NetworkFlow(), c.ip4.Protocol
		case layers.LayerTypeIPv6:
			k.network, k.proto = c.ip6.NetworkFlow(), c.ip6.NextHeader
		case layers.LayerTypeTCP:
			k.transport, isTCP = c.tcp.TransportFlow(), true
		case layers.LayerTypeUDP:
			k.transport = c.udp.TransportFlow()
		}
	}
	n := c.flows[k]
	if n == nil {
		n = &tally{}
		c.flows[k] = n
	}
	n.packets++
	n.bytes += uint64(size)
	return k.network, isTCP
}

// runGopacket replays a file the way programs on gopacket do.
func runGopacket(mode, file string) error {
	c := newCounter()
	var s streams
	a := reassembly.NewAssembler(reassembly.NewStreamPool(&s))
	n, err := frames(file, func(data []byte, ci gopacket.CaptureInfo) {
		if network, isTCP := c.packet(data, ci.Length); isTCP && mode == "reassembly" {
			a.AssembleWithContext(network, &c.tcp, &when{ci})
		}
	})
	a.FlushAll()
	fmt.Printf("%d packets, %d flows, %d bytes of streams\n", n, len(c.flows), s.bytes)
	return err
}

// frames hands the frames of a file to f, without copying them.
func frames(file string, f func([]byte, gopacket.CaptureInfo)) (n uint64, err error) {
	in, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	r, err := pcapgo.NewReader(in)
	if err != nil {
		return 0, err
	}
	for ; ; n++ {
		data, ci, err := r.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, err
		}
		f(data, ci)
	}
}

// count returns how many packets and bytes a file has.
func count(file string) (packets, bytes uint64, err error) {
	packets, err = frames(file, func(_ []byte, ci gopacket.CaptureInfo) { bytes += uint64(ci.Length) })
	return packets, bytes, err
}

// when is a packet's context in reassembly.
type when struct{ gopacket.CaptureInfo }

func (w *when) GetCaptureInfo() gopacket.CaptureInfo { return w.CaptureInfo }

// streams makes streams that count what they are given.
type streams struct{ bytes uint64 }

func (s *streams) New(_, _ gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext) reassembly.Stream {
	return s
}

func (s *streams) Accept(*layers.TCP, gopacket.CaptureInfo, reassembly.TCPFlowDirection, reassembly.Sequence, *bool, reassembly.AssemblerContext) bool {
	return true
}

func (s *streams) ReassembledSG(sg reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	n, _ := sg.Lengths()
	s.bytes += uint64(n)
}

func (s *streams) ReassemblyComplete(reassembly.AssemblerContext) bool { return true }
