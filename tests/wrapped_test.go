package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

const (
	etherLen = 14

	// maxWrapped is how many packets of a capture are wrapped: not more than the
	// fragmented datagrams that are followed at a time.
	maxWrapped = 4096
)

// outerEther is the link header of what a wrapping makes of a packet, up to its type.
var outerEther = []byte{2, 0, 0, 0, 0, 0x71, 2, 0, 0, 0, 0, 0x72}

// A wrapping puts an Ethernet frame with IP into something else, whole or in pieces. Frames
// are numbered.
type wrapping struct {
	name string
	link packet.LinkType
	wrap func(frame []byte, n int) [][]byte
}

var wrappings = []wrapping{
	{"raw", packet.LinkRaw, func(b []byte, _ int) [][]byte { return [][]byte{b[etherLen:]} }},
	{"cooked", packet.LinkSLL, func(b []byte, _ int) [][]byte {
		return [][]byte{slices.Concat([]byte{0, 0, 0, 1, 0, 6}, b[6:12], []byte{0, 0}, b[12:])}
	}},
	{"qinq", packet.LinkEthernet, func(b []byte, _ int) [][]byte {
		return [][]byte{slices.Concat(b[:12], []byte{0x88, 0xa8, 0, 7}, b[12:])}
	}},
	{"vxlan", packet.LinkEthernet, func(b []byte, n int) [][]byte {
		return inIPv4(n, flow.ProtoUDP, inUDP(4789, []byte{8, 0, 0, 0, 0, 0, 9, 0}, b), 1)
	}},
	{"gre", packet.LinkEthernet, func(b []byte, n int) [][]byte {
		return inIPv4(n, flow.ProtoGRE, slices.Concat([]byte{0, 0}, b[12:]), 1)
	}},
	{"gtpu in fragments", packet.LinkEthernet, func(b []byte, n int) [][]byte {
		header := slices.Concat([]byte{0x30, 255}, be16(len(b)-etherLen), []byte{0, 0, 0, 9})
		return inIPv4(n, flow.ProtoUDP, inUDP(2152, header, b[etherLen:]), 3)
	}},
}

func be16(n int) []byte { return []byte{byte(n >> 8), byte(n)} }

// inUDP puts a tunnel's header and b into UDP.
func inUDP(port int, header, b []byte) []byte {
	return slices.Concat(be16(port), be16(port), be16(8+len(header)+len(b)), []byte{0, 0}, header, b)
}

// inIPv4 puts b into so many fragments of IPv4 in Ethernet.
func inIPv4(id int, proto flow.Proto, b []byte, pieces int) (frames [][]byte) {
	step := len(b)
	if pieces > 1 {
		step = len(b)/pieces/8*8 + 8
	}
	for off := 0; off < len(b); off += step {
		part, word := b[off:min(off+step, len(b))], off/8
		if off+step < len(b) {
			word |= 0x2000
		}
		h := slices.Concat([]byte{8, 0, 0x45, 0}, be16(20+len(part)), be16(id), be16(word), []byte{64, byte(proto), 0, 0, 203, 0, 113, 1, 203, 0, 113, 2})
		frames = append(frames, slices.Concat(outerEther, h, part))
	}
	return frames
}

// wrapped returns the frames of a capture that are whole IP packets in Ethernet, and those
// in w. It reports false for a capture without any.
func wrapped(t *testing.T, path string, w *wrapping) (plain, inside []packettest.Frame, ok bool) {
	t.Helper()
	r, err := source.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for f, err := range r.Frames() {
		if err != nil || len(plain) == maxWrapped {
			break // some captures are cut
		}
		if packet.LinkType(f.LinkType) != packet.LinkEthernet || len(f.Data) != f.OrigLen || !wholePacket(f) {
			continue
		}
		v := packet.View{Frame: bytes.Clone(f.Data), Time: f.Time, LinkType: packet.LinkEthernet}
		plain = append(plain, v)
		for _, b := range w.wrap(v.Frame, len(plain)) {
			v.Frame, v.LinkType = b, w.link
			inside = append(inside, v)
		}
	}
	return plain, inside, len(plain) > 0
}

// wholePacket reports whether a frame has a packet that can be put into another one: IP
// right behind the link header, neither a fragment nor a tunnel, nor too long.
func wholePacket(f *source.Frame) bool {
	var d packet.Decoder
	var p packet.Packet
	v := packet.View{Frame: f.Data, LinkType: packet.LinkEthernet}
	return d.Decode(&v, &p) == flow.Decoded && p.IPOff == etherLen && p.NTunnels == 0 && !p.IsFragment() && len(f.Data) < 9000
}

// linesOf returns the messages of a replay, and the flows but for what a wrapping changes. The
// flow of the tunnel itself is left out.
func linesOf(t *testing.T, frames []packettest.Frame) (l []string) {
	t.Helper()
	var b bytes.Buffer
	if err := packettest.WritePcap(&b, frames); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "in.pcap")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	flows := map[any]string{}
	lines := program(t, "replay", "--format", "jsonl", "--stream-hash", path).lines(t)
	for _, f := range ofType(lines, "flow") {
		who := fmt.Sprint(f["proto"], " ", endpointOf(f, "initiator"), " → ", endpointOf(f, "responder"))
		flows[f["id"]] = who
		if f.text("initiator", "ip") != packettest.TunnelSrc {
			l = append(l, fmt.Sprint(who, " ", f["state"], " ", f["end_reason"], " ", f["conn_state"], " ", f["history"], " ", f["flow_label"], " ",
				f.at("initiator", "stream_sha256"), " ", f.at("responder", "stream_sha256")))
		}
	}
	for _, m := range ofType(lines, "message") {
		m["id"] = flows[m["id"]]
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		l = append(l, string(b))
	}
	slices.Sort(l)
	return l
}

// TestWrapped puts the packets of each capture into other link types, tags, tunnels, and
// tunnels in fragments: flows, streams and messages are the same.
func TestWrapped(t *testing.T) {
	eachCapture(t, func(t *testing.T, c oracleCapture) {
		for i := range wrappings {
			w := &wrappings[i]
			plain, inside, ok := wrapped(t, c.path, w)
			if !ok {
				return
			}
			got, want := linesOf(t, inside), linesOf(t, plain)
			for j := range max(len(got), len(want)) {
				if j >= len(got) || j >= len(want) || got[j] != want[j] {
					t.Errorf("in %s: %d lines, want %d; the first that differ:\n got %.300s\nwant %.300s", w.name, len(got), len(want),
						slices.Concat(got, []string{""})[min(j, len(got))], slices.Concat(want, []string{""})[min(j, len(want))])
					break
				}
			}
		}
	}, ".oracle-http.tsv", ".oracle-tls.tsv", ".oracle-dns.tsv")
}
