// Package xdp runs the BPF program: it loads it, attaches it to interfaces or feeds it
// frames of a file, and reads what the program writes.
//
// An [Engine] is the loaded program. Its [Table] is the kernel's flow table in this
// process's memory: counters are read, control bits set and flows taken there without
// a system call. Its [Ring]s bring records, one for each packet that user space asked
// for. Both ends name a flow by [Handle].
//
// Live:
//
//	e, err := xdp.Load(xdp.Options{MaxFlows: 100_000})
//	a, err := e.Attach("eth0", xdp.Auto)
//	for {
//		_, err := e.Ring(0).Read(50*time.Millisecond, func(r *xdp.Record) { … })
//		next = e.Table().Scan(next, 4096, func(p xdp.Place) { … })
//	}
//
// A flow is taken in three steps, so that no packet is lost or counted twice: [Table.Kill]
// makes the next packet of its key begin another flow; [Engine.Grace] waits until no
// program still adds to it; then [Table.Read] gives its final counters and [Table.Free]
// the place back.
//
// A replay gives frames to [Engine.Run], each with its own time, and reads the ring
// after each; nothing runs between, so Grace returns at once.
//
// One goroutine at a time may use a Ring, and one at a time may change a flow; reading
// the table is free for all. Times are wall-clock: the kernel's clock is converted
// here, the offset between the two refreshed each second.
package xdp
