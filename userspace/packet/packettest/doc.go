// Package packettest builds packets and traces in words, for tests.
//
//	syn := packettest.TCP("192.0.2.1:40000", "198.51.100.7:443").Flags("S").Seq(100)
//	trace := packettest.Trace(syn, syn.Reply().Flags("SA"))
//
// A [Packet] is a value: every method returns a changed copy. Methods that wrap
// (VLAN, MPLS, VXLAN, …) work from the inside out, so the last one called is the
// outermost. Lengths and checksums are right unless a method makes them wrong. Words
// that make no sense panic, as a test is wrong then.
package packettest
