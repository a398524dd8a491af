package xdp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Meta is what a replayed frame brings with it.
type Meta struct {
	Time     flow.Timestamp
	WireLen  int // original length, without FCS
	LinkType int // LINKTYPE_ number of the capture
}

// MaxFrame is the longest frame that Run takes whole: what the kernel lets a program
// under test have. Of a longer one the rest counts as not captured.
const MaxFrame = 65000

// metaSize is that of struct fs_replay_meta. The kernel demands some bytes of frame, too.
const (
	metaSize = 24
	minFrame = 14
)

// runner gives frames to the program. It keeps what a run needs, so that none allocates.
type runner struct {
	buf []byte
	ctx testContext
	opt ebpf.RunOptions
}

// testContext is struct xdp_md.
type testContext struct {
	Data, DataEnd, DataMeta, IngressIfindex, RxQueueIndex, EgressIfindex uint32
}

var errNoReplay = errors.New("run a frame: the engine was not loaded for replay")

// Run gives one frame to the program, as if it had come in at m.Time. Records about it are
// in the ring when Run returns.
func (e *Engine) Run(frame []byte, m Meta) error {
	if !e.opt.Replay {
		return errNoReplay
	}
	frame = frame[:min(len(frame), MaxFrame)]
	r := &e.runner
	r.opt.Data = r.input(frame, m)
	r.ctx = testContext{Data: metaSize, DataEnd: uint32(len(r.opt.Data))}
	r.opt.Context = &r.ctx
	if _, err := e.coll.Programs["flowscope_xdp"].Run(&r.opt); err != nil {
		return fmt.Errorf("run a frame of %d bytes: %w", len(frame), err)
	}
	return nil
}

// input puts metadata before the frame.
func (r *runner) input(frame []byte, m Meta) []byte {
	var meta gen.BPFFsReplayMeta
	meta.Time = uint64(m.Time)
	meta.WireLen = uint32(m.WireLen)
	meta.CapLen = uint32(len(frame))
	meta.LinkType = uint32(m.LinkType)
	r.buf, _ = binary.Append(r.buf[:0], binary.NativeEndian, &meta)
	r.buf = append(r.buf, frame...)
	for len(r.buf) < metaSize+minFrame {
		r.buf = append(r.buf, 0)
	}
	return r.buf
}

// AgeFragments gives up the fragments that have waited for the first of their datagram
// for 30 s at the time now: they are counted as orphans. At the end of input now is
// flow.MaxTimestamp.
func (e *Engine) AgeFragments(now flow.Timestamp) error {
	var frame [minFrame]byte
	binary.NativeEndian.PutUint64(frame[:], uint64(now)-uint64(e.clock.offset.Load()))
	if _, err := e.coll.Programs["flowscope_age"].Run(&ebpf.RunOptions{Data: frame[:]}); err != nil {
		return fmt.Errorf("age fragments: %w", err)
	}
	return nil
}
