package xdp

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/flowscope/flowscope-xdp/gen"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
)

// A Spilled is the account of a flow that found no place in the table, since the spill
// map was drained last.
type Spilled struct {
	Key flow.Key
	Dir [2]Counts // by direction
}

// spills holds two spill maps that take turns, and the program's reference to that in use.
// Both are there from the start: making one takes a capability that may be gone later.
type spills struct {
	outer          *ebpf.Map // what the program looks into
	current, spare *ebpf.Map // spare is empty
}

// newSpills takes over the spill map of c.
func newSpills(c *ebpf.Collection, spec *ebpf.MapSpec) (s spills, err error) {
	s.outer, s.current = c.Maps["spill"], c.DetachMap("spill_accounts")
	if s.spare, err = ebpf.NewMap(spec); err != nil {
		return s, fmt.Errorf("make the second spill map: %w", err)
	}
	return s, nil
}

// DrainSpill calls fn with the account of each flow that found no place since the last
// time, and forgets it. The program counts on, in an empty map, so each packet is in
// exactly one account. It waits some milliseconds for running programs.
func (e *Engine) DrainSpill(fn func(*Spilled)) error {
	s := &e.spills
	if empty, err := s.empty(); err != nil || empty {
		return err
	}
	// The kernel returns only when no program uses the old map any more.
	if err := s.outer.Put(uint32(0), s.spare); err != nil {
		return fmt.Errorf("drain the spill map: exchange it: %w", err)
	}
	s.current, s.spare = s.spare, s.current
	return e.takeSpill(s.spare, fn)
}

// empty looks at one key: most of the time there is none.
func (s *spills) empty() (bool, error) {
	var key gen.BPFFsFlowKey
	err := s.current.NextKey(nil, &key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into the spill map: %w", err)
	}
	return false, nil
}

// takeSpill reads and empties a map that no program uses.
func (e *Engine) takeSpill(m *ebpf.Map, fn func(*Spilled)) error {
	var key, next gen.BPFFsFlowKey
	var account gen.BPFFsSpill
	err := m.NextKey(nil, &key)
	for ; err == nil; key = next {
		more := m.NextKey(&key, &next) // before key is gone
		if err = m.LookupAndDelete(&key, &account); err != nil {
			break
		}
		s := Spilled{Key: exportedKey(&key)}
		for d := range s.Dir {
			e.spilledCounts(&account.Dir[d], &s.Dir[d])
		}
		fn(&s)
		err = more
	}
	if !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("read the spill map: %w", err)
	}
	return nil
}

func (e *Engine) spilledCounts(s *gen.BPFFsSpillSide, c *Counts) {
	c.Packets, c.Bytes, c.IPBytes, c.PayloadBytes = s.Packets, s.Bytes, s.IpBytes, s.PayloadBytes
	if c.Packets == 0 {
		return
	}
	c.First, c.Last = e.clock.wall(s.First), e.clock.wall(s.Last)
	c.Flags, c.TTLMin, c.TTLMax = flow.TCPFlags(s.TcpFlags), s.TtlMin, s.TtlMax
}

func exportedKey(k *gen.BPFFsFlowKey) flow.Key {
	return flow.Key{
		Lo: k.Lo, Hi: k.Hi, LoPort: k.LoPort, HiPort: k.HiPort,
		Proto: flow.Proto(k.Proto), IPVersion: k.IpVersion, Context: k.Context,
	}
}

func (s *spills) close() error {
	return errors.Join(s.current.Close(), s.spare.Close())
}
