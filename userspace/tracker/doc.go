// Package tracker keeps the table of open flows: it looks flows up, orients them,
// counts them, walks TCP's states, and ends flows that are over, idle or too many.
//
// Packets go in as plain values, an [Input] each; events come out through
// [Options.Handler], synchronously and in the order SEMANTICS.md §3.2 gives. A
// driver calls [Table.Observe], hands the payload to whoever wants it, then calls
// [Table.Finish]. Where something else counts the packets (an XDP program, in memory
// it shares with us), the driver already holds the flow and calls [Table.Open] and
// [Table.Step] in place of Observe; [Options.Refresh] then fetches counters and
// times when they matter. Both ways give the same events.
//
// The packet is the clock. Nothing here reads the wall clock, starts a goroutine or
// takes a lock: one goroutine owns a table. Deadlines are exact: how often
// [Table.Sweep] is called never shows in the output.
//
// A *[Flow] is valid until its Ended event has been handled, then its memory serves
// another flow.
package tracker
