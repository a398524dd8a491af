package engine_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"testing"
	"time"

	"github.com/flowscope/flowscope-xdp/tests/needs"
	"github.com/flowscope/flowscope-xdp/tests/testnet"
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// The flows of an interface, every second, while the run goes on.
func ExampleLive_Snapshot() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	live, err := engine.NewLive(engine.LiveOptions{Interfaces: []string{"eth0"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	defer live.Close()
	go func() {
		for range time.Tick(time.Second) {
			for key, st := range live.Snapshot() {
				fmt.Println(key.Proto, st.Packets(), "packets", st.Bytes(), "bytes")
			}
		}
	}()
	if err := live.Run(ctx, func() error { return nil }); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

// TestLiveSnapshot reads the flows of a router's interface from another goroutine while
// datagrams come in, and compares with what was sent and with the records that follow.
func TestLiveSnapshot(t *testing.T) {
	needs.Root(t)
	n, err := testnet.New()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	records := map[uint16]uint64{}
	opt := engine.LiveOptions{Interfaces: []string{"r0"}, Load: xdp.Options{RingSize: 1 << 20}, Pipeline: pipeline.Options[flow.Key]{
		MaxFlows: 1000,
		Handler: func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Closed && e.Record.Proto == flow.ProtoUDP {
				records[e.Record.Endpoint[flow.Initiator].Port] = e.Record.Stats.Packets()
			}
		},
	}}
	var live *engine.Live
	if err := n.Router.Do(func() error { live, err = engine.NewLive(opt); return err }); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- live.Run(ctx, func() error { return nil }) }()
	const flows, rounds = 20, 5
	senders := sockets(t, n, flows)
	to := &net.UDPAddr{IP: net.ParseIP(testnet.ResponderIP), Port: 9}
	for round := range rounds {
		for _, s := range senders {
			if _, err := s.WriteTo([]byte("a datagram"), to); err != nil {
				t.Fatal(err)
			}
		}
		wantSnapshot(t, live, flows, uint64(round+1))
	}
	first := 0
	for range live.Snapshot() {
		first++
		break
	}
	stop()
	if err := <-ran; err != nil || first != 1 {
		t.Errorf("run: %v; %d flows before the loop was left, want 1", err, first)
	}
	if len(records) != flows {
		t.Errorf("%d records, want %d", len(records), flows)
	}
	for port, packets := range records {
		if packets != rounds {
			t.Errorf("record of port %d has %d packets, want %d", port, packets, rounds)
		}
	}
	if err := live.Close(); err != nil {
		t.Fatal(err)
	}
	for k := range live.Snapshot() {
		t.Errorf("after Close: %v", k)
	}
}

// sockets opens UDP sockets of the initiator.
func sockets(t *testing.T, n *testnet.Network, count int) (l []net.PacketConn) {
	t.Helper()
	err := n.Initiator.Do(func() error {
		for range count {
			c, err := net.ListenPacket("udp4", testnet.InitiatorIP+":0")
			if err != nil {
				return err
			}
			t.Cleanup(func() { c.Close() })
			l = append(l, c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// wantSnapshot waits until each of the UDP flows has so many packets.
func wantSnapshot(t *testing.T, live *engine.Live, flows int, packets uint64) {
	t.Helper()
	var got map[uint64]int
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		got = map[uint64]int{}
		for k, st := range live.Snapshot() {
			if k.Proto == flow.ProtoUDP {
				got[st.Side[flow.Initiator].Packets]++
			}
		}
		if got[packets] == flows && len(got) == 1 {
			return
		}
	}
	t.Errorf("flows by packets %v, want %d flows of %d", got, flows, packets)
}
