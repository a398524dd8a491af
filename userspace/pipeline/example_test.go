package pipeline_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/packet/packettest"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/dns"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/tls"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

// capture is the capture file of the examples: an HTTP session, then DNS.
func capture() *bytes.Reader {
	var file bytes.Buffer
	packets := append(packettest.HTTPSession(), packettest.DNS()...)
	if err := packettest.WritePcap(&file, packettest.Trace(packets...)); err != nil {
		panic(err)
	}
	return bytes.NewReader(file.Bytes())
}

// A captureFile is a source.Reader as a pipeline.Source.
type captureFile struct {
	*source.Reader
	frame source.Frame
}

func (c *captureFile) Next(v *packet.View) error {
	err := c.Reader.Next(&c.frame)
	f := &c.frame
	*v = packet.View{Frame: f.Data, Time: f.Time, OrigLen: f.OrigLen, LinkType: packet.LinkType(f.LinkType), Dir: packet.CaptureDir(f.Dir)}
	return err
}

// openCapture opens the capture of the examples; source.Open opens a file.
func openCapture() *captureFile {
	r, err := source.New(capture())
	if err != nil {
		panic(err)
	}
	return &captureFile{Reader: r}
}

func ExampleFlowDriver() {
	d := pipeline.NewFlowDriver(pipeline.FlowOptions[flow.Key, int]{
		Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}},
		OnEvent: func(e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventEnded {
				fmt.Println(e.Reason, e.History, e.Stats.Packets(), "packets")
			}
		},
		NoReassembly: true,
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// fin ShADadFf 10 packets
	// end_of_input Dd 2 packets
	// end_of_input Dd 2 packets
	// end_of_input D 1 packets
	// end_of_input D 1 packets
}

func ExampleFlowDriver_Drain() {
	var d *pipeline.FlowDriver[flow.Key, int]
	d = pipeline.NewFlowDriver(pipeline.FlowOptions[flow.Key, int]{
		Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}},
		OnEvent: func(e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventEnded && e.L4 == flow.L4TCP {
				for side := range flow.Side(2) {
					fmt.Println(side, len(d.Drain(e.FlowKey, side)), "bytes")
				}
			}
		},
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator 69 bytes
	// responder 78 bytes
}

func ExampleFlowDriver_TrackPending() {
	d := pipeline.NewFlowDriver(pipeline.FlowOptions[flow.Key, int]{
		Options: pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}},
		OnEvent: func(e *flow.Event[flow.Key]) {
			if e.Kind == flow.EventStateChange && e.To.Terminal() {
				fmt.Println(e.To)
			}
		},
	})
	src := openCapture()
	var v packet.View
	for src.Next(&v) == nil {
		d.TrackPending(&v)
		for key := range d.Snapshot() {
			if b := d.Drain(key, flow.Responder); len(b) > 0 {
				fmt.Printf("%.15s…\n", b)
			}
		}
		d.Finalize()
	}
	d.Finish()
	// Output:
	// HTTP/1.1 200 OK…
	// closed
}

// The caller's part of a flow lives as long as the flow.
func ExampleFlowDriver_State() {
	var d *pipeline.FlowDriver[flow.Key, int]
	d = pipeline.NewFlowDriver(pipeline.FlowOptions[flow.Key, int]{
		Options: pipeline.Options[flow.Key]{Extractor: packet.IPPair{}},
		OnEvent: func(e *flow.Event[flow.Key]) {
			largest := d.State(e.FlowKey)
			*largest = max(*largest, e.Len)
			if e.Kind == flow.EventEnded {
				fmt.Println("largest payload:", *largest)
			}
		},
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// largest payload: 78
	// largest payload: 49
}

func ExampleSessionDriver() {
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{
			tls.Protocol(tls.Options{}), http1.Protocol(http1.Options{}), dns.Protocol(dns.Options{}),
		},
		Handler: func(e *pipeline.SessionEvent[flow.Key]) {
			switch e.Kind {
			case pipeline.Message:
				fmt.Println(e.Side, e.Message.Parser(), e.Message.Kind())
			case pipeline.Closed:
				fmt.Println("closed", e.Record.Reason, e.Record.Service)
			}
		},
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator http request
	// responder http response
	// initiator dns query
	// responder dns response
	// initiator dns query
	// responder dns response
	// initiator dns response
	// initiator dns query
	// closed fin http
	// closed end_of_input dns
	// closed end_of_input dns
	// closed end_of_input dns
	// initiator dns unanswered
	// closed end_of_input dns
}

func ExampleSessionDriver_Events() {
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{http1.Protocol(http1.Options{})},
	})
	for e, err := range d.Events(context.Background(), openCapture()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if e.Kind == pipeline.Message {
			fmt.Println(e.Side, e.Message.Kind())
		}
	}
	// Output:
	// initiator request
	// responder response
}

// One parser for every TCP flow, whatever its bytes are.
func ExampleSessionDriver_oneParser() {
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{parsers.Every("lines", parsers.Of[lines]())},
		Handler: func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Message {
				fmt.Printf("%s %.18q\n", e.Side, e.Message)
			}
		},
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator "GET /index.html HT"
	// initiator "Host: example.com\r"
	// initiator "User-Agent: test/1"
	// initiator "\r"
	// responder "HTTP/1.1 200 OK\r"
	// responder "Content-Type: text"
	// responder "Content-Length: 13"
	// responder "\r"
	// responder "Hello, world!"
}

func ExampleDatagramDriver() {
	d := pipeline.NewDatagramDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{dns.Protocol(dns.Options{})},
		Handler: func(e *pipeline.SessionEvent[flow.Key]) {
			if e.Kind == pipeline.Message {
				fmt.Println(e.Side, e.Message.Kind())
			}
		},
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator query
	// responder response
	// initiator query
	// responder response
	// initiator response
	// initiator query
	// initiator unanswered
}

func ExampleConversations() {
	read := func(ctx context.Context, c *pipeline.Conversation[flow.Key]) {
		for chunk := range c.Chunks() {
			switch chunk.Kind {
			case pipeline.ChunkBytes:
				fmt.Println(chunk.Side, len(chunk.Bytes), "bytes")
			case pipeline.ChunkGap:
				fmt.Println(chunk.Side, chunk.N, "bytes are missing")
			case pipeline.ChunkClosed:
				fmt.Println("closed", chunk.Reason)
			}
		}
	}
	ctx := context.Background()
	c := pipeline.NewConversations(ctx, pipeline.Options[flow.Key]{Extractor: packet.FiveTuple{}}, pipeline.Block, read)
	if err := pipeline.Replay(ctx, openCapture(), c); err != nil {
		fmt.Println(err)
	}
	// Output:
	// initiator 69 bytes
	// responder 78 bytes
	// closed fin
}

func ExampleBroadcast() {
	ctx := context.Background()
	b := pipeline.NewBroadcast[*pipeline.SessionEvent[flow.Key]](ctx, 1024)
	var readers sync.WaitGroup
	for range 2 {
		r := b.Subscribe()
		readers.Go(func() {
			n := 0
			for _, err := range r.Events() {
				if lagged, ok := err.(pipeline.Lagged); ok {
					n += int(lagged)
					continue
				}
				n++
			}
			fmt.Println(n, "events")
		})
	}
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Handler:   func(e *pipeline.SessionEvent[flow.Key]) { b.Publish(e.Clone()) },
	})
	if err := pipeline.Replay(ctx, openCapture(), d); err != nil {
		fmt.Println(err)
	}
	b.Close()
	readers.Wait()
	// Output:
	// 16 events
	// 16 events
}

func ExampleOptions() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	d := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Dedup:     packet.NewDedup(time.Millisecond, packet.DefaultDedupCapacity),
		Monotonic: true,
		IdleFunc: func(k flow.Key, _ flow.L4) (time.Duration, bool) {
			return 5 * time.Second, k.EitherPort(53)
		},
		Logger: log,
	})
	if err := pipeline.Replay(context.Background(), openCapture(), d); err != nil {
		fmt.Println(err)
	}
	s := d.Summary()
	fmt.Println(s.PacketsSeen, "packets,", s.FlowsStarted, "flows")
	// Output:
	// level=INFO msg="flow started" target=flowscope.flow l4=tcp
	// level=INFO msg="flow started" target=flowscope.flow l4=udp
	// level=INFO msg="flow started" target=flowscope.flow l4=udp
	// level=INFO msg="flow started" target=flowscope.flow l4=udp
	// level=INFO msg="flow started" target=flowscope.flow l4=udp
	// level=INFO msg="flow ended" target=flowscope.flow reason=fin packets=10 bytes=687
	// level=INFO msg="flow ended" target=flowscope.flow reason=end_of_input packets=2 bytes=158
	// level=INFO msg="flow ended" target=flowscope.flow reason=end_of_input packets=2 bytes=166
	// level=INFO msg="flow ended" target=flowscope.flow reason=end_of_input packets=1 bytes=75
	// level=INFO msg="flow ended" target=flowscope.flow reason=end_of_input packets=1 bytes=72
	// 16 packets, 5 flows
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
