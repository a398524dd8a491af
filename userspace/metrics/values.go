package metrics

import "github.com/flowscope/flowscope-xdp/userspace/flow"

// Values returns the values that a label of the named metric can have, in words of the
// JSON lines; nil when they are not known beforehand.
func Values(name, label string) []string {
	switch label {
	case "l4":
		return words(flow.L4TCP, flow.L4UDP, flow.L4Other)
	case "side":
		return words(flow.Initiator, flow.Responder)
	case "reason":
		return numbered[flow.EndReason](int(flow.EndNone)+1, flow.EndReasons)
	case "kind":
		if name == Anomalies {
			return numbered[flow.AnomalyKind](0, flow.AnomalyKinds)
		}
	case "cause":
		return causes(name)
	case "verdict":
		return []string{"tracked", "unparsed", "spilled", "lost"}
	case "hook":
		return []string{"xdp"}
	}
	return nil
}

// causes returns why the packets or bytes of a metric are not where they should be.
func causes(name string) []string {
	switch name {
	case PacketsUnparsed:
		return numbered[flow.Cause](int(flow.Decoded)+1, flow.Causes)
	case StreamMissedBytes:
		return append(words(flow.GapNetwork, flow.GapCapture), "skipped")
	case XDPTableSpills:
		return []string{"full", "race"}
	case XDPLostPackets:
		return words(flow.CauseTableFull)
	case XDPPayloadLost:
		return []string{"ring_full", "load_failed", "fragment_table_full"}
	}
	return nil
}

// numbered returns the words of the values from first on, below end.
func numbered[T interface {
	~uint8
	String() string
}](first, end int) (l []string) {
	for i := first; i < end; i++ {
		l = append(l, T(i).String())
	}
	return l
}

func words[T interface{ String() string }](values ...T) (l []string) {
	for _, v := range values {
		l = append(l, v.String())
	}
	return l
}
