// Length-prefixed shows a parser of one's own at work: it replays a capture and
// prints the frames that package pfx finds in its TCP flows.
//
//	go run ./docs/examples/length-prefixed FILE
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/flowscope/flowscope-xdp/docs/examples/length-prefixed/pfx"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/source"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: length-prefixed FILE")
		os.Exit(2)
	}
	if err := replay(os.Args[1], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// replay prints the frames of the capture at path.
func replay(path string, w io.Writer) error {
	capture, err := source.Open(path)
	if err != nil {
		return fmt.Errorf("open capture: %w", err)
	}
	defer capture.Close()
	driver := pipeline.NewSessionDriver(pipeline.Options[flow.Key]{
		Extractor: packet.FiveTuple{},
		Protocols: []parsers.Protocol{pfx.Protocol()},
		Handler:   func(e *pipeline.SessionEvent[flow.Key]) { show(w, e) },
	})
	for f, err := range capture.Frames() {
		if err != nil {
			return fmt.Errorf("read capture: %w", err)
		}
		driver.Track(&packet.View{Frame: f.Data, Time: f.Time, OrigLen: f.OrigLen, LinkType: packet.LinkType(f.LinkType)})
	}
	driver.Finish()
	return nil
}

// show prints a frame, and how a flow ended.
func show(w io.Writer, e *pipeline.SessionEvent[flow.Key]) {
	switch e.Kind {
	case pipeline.Message:
		frame := e.Message.(*pfx.Frame)
		fmt.Fprintf(w, "%-9v %s %3d bytes\n", e.Side, frame.Marker, len(frame.Payload))
	case pipeline.Closed:
		fmt.Fprintf(w, "closed: %v\n", e.Record.Reason)
	}
}
