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

// spills holds the two maps that accounts are kept in by turns, and the program's
// reference to the one in use. Both are there from the start: making one takes a capability
// that may be gone later.
type spills struct {
	outer *ebpf.Map // what the program looks into
	maps  [2]*ebpf.Map
	inUse int
	read  bool // what is in the other one was read
	// unread says that the other one has accounts of a process that was killed.
	unread bool
}

// resume finds out which of two maps that were there the program uses. What is in the
// other one nobody has written yet.
func (s *spills) resume() error {
	var id ebpf.MapID
	if err := s.outer.Lookup(uint32(0), &id); err != nil {
		return fmt.Errorf("look into the spill map: %w", err)
	}
	s.inUse = -1
	for i, m := range s.maps {
		info, err := m.Info()
		if err != nil {
			return fmt.Errorf("look into the spill map: %w", err)
		}
		if got, ok := info.ID(); ok && got == id {
			s.inUse = i
		}
	}
	if s.inUse < 0 {
		return errors.New("the pinned spill map holds neither spill_0 nor spill_1")
	}
	empty, err := isEmpty(s.maps[1-s.inUse])
	s.unread = !empty
	return err
}

// DrainSpill calls fn with the account of each flow that found no place since the last
// time, and forgets it: [Engine.ReadSpill] and [Engine.ClearSpill].
func (e *Engine) DrainSpill(fn func(*Spilled)) error {
	return errors.Join(e.ReadSpill(fn), e.ClearSpill())
}

// ReadSpill calls fn with the account of each flow that found no place since it was called
// last. The program counts on, in an empty map, so each packet is in exactly one account.
// It waits some milliseconds for running programs. Until ClearSpill forgets what it read it
// reads nothing else.
func (e *Engine) ReadSpill(fn func(*Spilled)) error {
	s := &e.spills
	if s.unread {
		s.unread, s.read = false, true
		return readSpill(s.maps[1-s.inUse], e.clock, fn)
	}
	if s.read {
		return nil
	}
	if empty, err := isEmpty(s.maps[s.inUse]); err != nil || empty {
		return err
	}
	// The kernel returns only when no program uses the old map any more.
	if err := s.outer.Put(uint32(0), s.maps[1-s.inUse]); err != nil {
		return fmt.Errorf("drain the spill map: exchange it: %w", err)
	}
	s.inUse, s.read = 1-s.inUse, true
	return readSpill(s.maps[1-s.inUse], e.clock, fn)
}

// ClearSpill forgets the accounts that ReadSpill read, once what is to be known of them is
// written, and enters their packets in the ledger (see [Engine.HandOver]).
func (e *Engine) ClearSpill() error {
	s := &e.spills
	if !s.read {
		return nil
	}
	m := s.maps[1-s.inUse]
	var key, next gen.BPFFsFlowKey
	err := m.NextKey(nil, &key)
	for err == nil {
		err = m.NextKey(&key, &next) // before key is gone: else it would begin anew
		if gone := e.clearAccount(m, &key); gone != nil {
			return gone
		}
		key = next
	}
	if !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("clear the spill map: %w", err)
	}
	s.read = false
	return nil
}

func (e *Engine) clearAccount(m *ebpf.Map, key *gen.BPFFsFlowKey) error {
	var account gen.BPFFsSpill
	if err := m.Lookup(key, &account); err != nil {
		return fmt.Errorf("clear the spill map: %w", err)
	}
	if err := e.ledger.enter(spillTotal(&account), 0, 0, func() error { return m.Delete(key) }); err != nil {
		return fmt.Errorf("clear the spill map: %w", err)
	}
	return nil
}

func spillTotal(a *gen.BPFFsSpill) (n gen.BPFFsTotal) {
	for d := range a.Dir {
		n.Packets += a.Dir[d].Packets
		n.Bytes += a.Dir[d].Bytes
	}
	n.Spilled = n.Packets
	return n
}

// isEmpty looks at one key: most of the time there is none.
func isEmpty(m *ebpf.Map) (bool, error) {
	var key gen.BPFFsFlowKey
	err := m.NextKey(nil, &key)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look into the spill map: %w", err)
	}
	return false, nil
}

func readSpill(m *ebpf.Map, c *clock, fn func(*Spilled)) error {
	var key gen.BPFFsFlowKey
	var account gen.BPFFsSpill
	it := m.Iterate()
	for it.Next(&key, &account) {
		s := Spilled{Key: exportedKey(&key)}
		for d := range s.Dir {
			spilledCounts(&account.Dir[d], c, &s.Dir[d])
		}
		fn(&s)
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the spill map: %w", err)
	}
	return nil
}

func spilledCounts(s *gen.BPFFsSpillSide, k *clock, c *Counts) {
	c.Packets, c.Bytes, c.IPBytes, c.PayloadBytes = s.Packets, s.Bytes, s.IpBytes, s.PayloadBytes
	if c.Packets == 0 {
		return
	}
	c.First, c.Last = k.wall(s.First), k.wall(s.Last)
	c.Flags, c.TTLMin, c.TTLMax = flow.TCPFlags(s.TcpFlags), s.TtlMin, s.TtlMax
}

func exportedKey(k *gen.BPFFsFlowKey) flow.Key {
	return flow.Key{
		Lo: k.Lo, Hi: k.Hi, LoPort: k.LoPort, HiPort: k.HiPort,
		Proto: flow.Proto(k.Proto), IPVersion: k.IpVersion, Context: k.Context,
	}
}

func (s *spills) close() error {
	var errs []error
	for _, m := range s.maps {
		if m != nil {
			errs = append(errs, m.Close())
		}
	}
	return errors.Join(errs...)
}
