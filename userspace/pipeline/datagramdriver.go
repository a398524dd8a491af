package pipeline

import (
	"context"
	"iter"
	"slices"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
)

// A DatagramDriver turns frames into the session events of UDP flows: a whole
// datagram each to a parser, also out of fragments and tunnels. Flows of TCP give
// Started and Closed only, and their payload is left alone. It belongs to one
// goroutine.
type DatagramDriver[K comparable] struct {
	*SessionDriver[K]
	handler func(e *SessionEvent[K])
}

// NewDatagramDriver returns a driver. It wants Options.Extractor, and of
// Options.Protocols it uses the datagram parsers.
func NewDatagramDriver[K comparable](opt Options[K]) *DatagramDriver[K] {
	d := &DatagramDriver[K]{handler: opt.Handler}
	opt.Handler = d.pass
	opt.Gaps = false
	opt.Protocols = slices.Clone(opt.Protocols)
	opt.Protocols = slices.DeleteFunc(opt.Protocols, func(p parsers.Protocol) bool { return p.NewDatagram == nil })
	for i := range opt.Protocols {
		opt.Protocols[i].NewSession = nil
	}
	d.SessionDriver = NewSessionDriver(opt)
	return d
}

// pass hands on what is not about TCP.
func (d *DatagramDriver[K]) pass(e *SessionEvent[K]) {
	switch {
	case d.handler == nil || e.Kind == Established || e.Kind == StateChange:
	case e.Kind == Anomaly && ofTCP(e.Anomaly.Kind):
	default:
		d.handler(e)
	}
}

// ofTCP reports whether only TCP flows have anomalies of kind k.
func ofTCP(k flow.AnomalyKind) bool {
	return k < flow.AnomalyFragmentOverlap || k == flow.AnomalyWatermark
}

// Events is [SessionDriver.Events].
func (d *DatagramDriver[K]) Events(ctx context.Context, src Source) iter.Seq2[*SessionEvent[K], error] {
	return events(ctx, src, d, &d.handler)
}
