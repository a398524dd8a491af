package xdp_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// A pair is two namespaces with a veth pair between them: near has 10.7.0.1 on "near0",
// far 10.7.0.2 on "far0". It belongs to the test's thread.
type pair struct{ home, near, far netns.NsHandle }

func newPair(t *testing.T) *pair {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread()
	p := &pair{}
	var err error
	if p.home, err = netns.Get(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	for _, ns := range []*netns.NsHandle{&p.far, &p.near} {
		if *ns, err = netns.New(); err != nil {
			t.Fatal(err)
		}
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near0"}, PeerName: "far0", PeerNamespace: netlink.NsFd(p.far)}
	if err := netlink.LinkAdd(veth); err != nil {
		t.Fatal(err)
	}
	p.address(t, p.near, "near0", "10.7.0.1/24")
	p.address(t, p.far, "far0", "10.7.0.2/24")
	return p
}

func (p *pair) close() {
	for _, ns := range []netns.NsHandle{p.near, p.far} {
		if ns.IsOpen() {
			ns.Close()
		}
	}
	if netns.Set(p.home) == nil {
		runtime.UnlockOSThread() // else the thread ends with the test
	}
	p.home.Close()
}

// in makes ns the thread's namespace.
func (p *pair) in(t *testing.T, ns netns.NsHandle) {
	t.Helper()
	if err := netns.Set(ns); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) address(t *testing.T, ns netns.NsHandle, name, addr string) {
	t.Helper()
	p.in(t, ns)
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(netlink.AddrAdd(l, a), netlink.LinkSetUp(l)); err != nil {
		t.Fatal(err)
	}
}

// sent is how many packets an interface has sent so far. (Its bytes are those of frames or
// of IP packets, depending on how the peer receives.)
func sent(t *testing.T, name string) uint64 {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l.Attrs().Statistics.TxPackets
}

// talk carries a request and an answer of some size over TCP and a datagram over UDP, near
// to far.
func (p *pair) talk(t *testing.T, size int) {
	t.Helper()
	p.in(t, p.far)
	l, err := net.Listen("tcp4", "10.7.0.2:8080")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u, err := net.ListenPacket("udp4", "10.7.0.2:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	done := make(chan error, 1)
	go func() { done <- answer(l, size) }()
	p.in(t, p.near)
	c, err := net.Dial("tcp4", "10.7.0.2:8080")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("give me bytes\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, c); err != nil || n != int64(size) {
		t.Fatalf("read %d bytes, error %v; want %d", n, err, size)
	}
	if err := errors.Join(c.Close(), <-done); err != nil {
		t.Fatal(err)
	}
	d, err := net.Dial("udp4", "10.7.0.2:5353")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err := d.Write([]byte("a datagram")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the last ACKs, and what the ring holds
}

func answer(l net.Listener, size int) error {
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Read(make([]byte, 64)); err != nil {
		return err
	}
	_, err = c.Write(make([]byte, size))
	return err
}

// TestLive compares what XDP on one end counts of real sockets with what the interface
// at the other end says it sent.
func TestLive(t *testing.T) {
	for _, mode := range []xdp.Mode{xdp.Auto, xdp.Native, xdp.Generic} {
		t.Run(mode.String(), func(t *testing.T) {
			p := newPair(t)
			e := load(t, xdp.Options{RingSize: 8 << 20})
			p.in(t, p.near)
			before := sent(t, "near0")
			p.in(t, p.far)
			a, err := e.Attach("far0", mode)
			if err != nil {
				t.Fatal(err)
			}
			if want := (map[xdp.Mode]xdp.Mode{xdp.Auto: xdp.Native, xdp.Native: xdp.Native, xdp.Generic: xdp.Generic})[mode]; a.Mode != want {
				t.Errorf("attached %s, want %s", a, want)
			}
			p.in(t, p.near)
			between := sent(t, "near0")
			p.talk(t, 300_000)
			after := sent(t, "near0")
			c := counters(t, e)
			if n := c.Seen.Packets; n < after-between || n > after-before {
				t.Errorf("seen %d packets, want %d, or up to %d with what came before", n, after-between, after-before)
			}
			checkLive(t, e, time.Now())
		})
	}
}

// checkLive looks for the two flows of talk, seen from the far end.
func checkLive(t *testing.T, e *xdp.Engine, now time.Time) {
	t.Helper()
	n := map[flow.Proto]int{}
	for _, f := range flows(e) {
		n[f.Key.Proto]++
		d := f.Dir[flow.Forward] // from 10.7.0.1
		if f.Key.Proto == flow.ProtoUDP && (d.Packets != 1 || d.PayloadBytes != 10) {
			t.Errorf("udp %+v, want one packet of 10 bytes", d)
		}
		if f.Key.Proto != flow.ProtoTCP {
			continue
		}
		if d.PayloadBytes != 14 || !d.Flags.Has(flow.SYN|flow.FIN|flow.ACK) || d.TTLMin != 64 || d.TTLMax != 64 {
			t.Errorf("tcp %+v, want 14 bytes of payload, SYN to FIN, TTL 64", d)
		}
		if age := flow.At(now).SaturatingSub(d.Last); d.Last < d.First || age > 5*time.Second {
			t.Errorf("tcp from %s to %s, want moments ago", d.First, d.Last)
		}
	}
	if n[flow.ProtoTCP] != 1 || n[flow.ProtoUDP] != 1 {
		t.Errorf("flows %v, want one of TCP and one of UDP", n)
	}
	payload := ""
	_, err := e.Ring(0).Read(time.Second, func(r *xdp.Record) { payload += string(r.Payload) })
	if err != nil || !strings.Contains(payload, "give me bytes\n") || !strings.Contains(payload, "a datagram") {
		t.Errorf("payload %q, error %v", payload, err)
	}
}

// TestLiveBothHooks counts both directions of one end: XDP sees what comes in, tcx what
// goes out, segments as they are on the wire.
func TestLiveBothHooks(t *testing.T) {
	p := newPair(t)
	e := load(t, xdp.Options{RingSize: 8 << 20, Egress: true})
	p.in(t, p.far)
	for _, attach := range []func() (*xdp.Attachment, error){
		func() (*xdp.Attachment, error) { return e.Attach("far0", xdp.Native) },
		func() (*xdp.Attachment, error) { return e.AttachEgress("far0") },
	} {
		if _, err := attach(); err != nil {
			t.Fatal(err)
		}
	}
	const size = 300_000
	p.talk(t, size)
	for _, f := range flows(e) {
		if f.Key.Proto != flow.ProtoTCP {
			continue
		}
		d := f.Dir[f.Initiator.Other()]
		if d.PayloadBytes < size || f.State != flow.StateClosed || f.Orientation != flow.BySYN || f.Handshake[0] < 0 || f.Handshake[1] < 0 {
			t.Errorf("flow %+v, want %d bytes from the responder, closed, with handshake times", f, size)
		}
		if least := uint64(size / 1460); d.Packets < least {
			t.Errorf("%d packets of the responder for %d bytes, want at least %d of 1460", d.Packets, size, least)
		}
	}
}

// TestAttachRefused attaches where another program is, and where there is nothing.
func TestAttachRefused(t *testing.T) {
	p := newPair(t)
	p.in(t, p.far)
	first, second := load(t, xdp.Options{}), load(t, xdp.Options{})
	a, err := first.Attach("far0", xdp.Auto)
	if err != nil {
		t.Fatal(err)
	}
	_, err = second.Attach("far0", xdp.Auto)
	if err == nil || !strings.Contains(err.Error(), "flowscope_xdp") || !strings.Contains(err.Error(), "detach it") {
		t.Errorf("second program: error %v, want one that names the first and the way out", err)
	}
	if _, err := second.Attach("nothing0", xdp.Auto); err == nil || !strings.Contains(err.Error(), "far0") {
		t.Errorf("no such interface: error %v, want one that names those there are", err)
	}
	if err := a.Detach(); err != nil {
		t.Fatal(err)
	}
	if _, err := second.Attach("far0", xdp.Auto); err != nil {
		t.Errorf("after the first was detached: %v", err)
	}
	if _, err := load(t, xdp.Options{Replay: true}).Attach("far0", xdp.Auto); err == nil {
		t.Error("an engine for replay was attached")
	}
}
