package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/parsers"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/dns"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/http1"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/socks"
	"github.com/flowscope/flowscope-xdp/userspace/parsers/tls"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/reassembly"
)

// defaultMaxFlows is the program's limit on open flows, for both engines.
const defaultMaxFlows = 1 << 20

// flags are the options that several commands share.
type flags struct {
	format, output, events string
	parsers                string
	key, decap             string
	idleTCP, idleUDP       time.Duration
	idleOther              time.Duration
	idlePorts              []string
	activeTimeout          time.Duration
	maxFlows               int
	reassemblyCap          string
	overflow, overlap      string
	dedup                  string
	verifyChecksums        bool
	monotonic, anomalies   bool
	keyVLAN, keyTunnel     bool
	poisonEndsFlow         bool
	streamHash             bool
	monitor                monitorFlags
}

func (f *flags) register(s *pflag.FlagSet) {
	s.StringVar(&f.format, "format", "", "output format: table or jsonl (default: table on a terminal, else jsonl)")
	s.StringVarP(&f.output, "output", "o", "", "write to `FILE` instead of standard output")
	s.StringVar(&f.events, "events", "flow,message,anomaly,summary", "line types to write, of "+strings.Join(eventNames, ","))
	s.StringVar(&f.parsers, "parsers", "all", "protocols to parse: a list of http,tls,dns, or all, or none")
	s.StringVar(&f.key, "key", "five-tuple", "what makes a flow: five-tuple, ip-pair or mac-pair")
	s.StringVar(&f.decap, "decap", "auto", "tunnels to look into: auto, none, or a list of kinds, ports as kind:port,port")
	s.DurationVar(&f.idleTCP, "idle-tcp", 300*time.Second, "end a TCP flow after this long without a packet")
	s.DurationVar(&f.idleUDP, "idle-udp", 60*time.Second, "end a UDP flow after this long without a packet")
	s.DurationVar(&f.idleOther, "idle-other", 30*time.Second, "end any other flow after this long without a packet")
	s.StringArrayVar(&f.idlePorts, "idle-port", nil, "idle timeout of flows with this port, as `PORT=DURATION` (repeatable)")
	s.DurationVar(&f.activeTimeout, "active-timeout", 0, "write a flow_update of each live flow this often (0: never; ask for it with --events)")
	s.IntVar(&f.maxFlows, "max-flows", defaultMaxFlows, "flows open at once; beyond that the least recently used is evicted")
	s.StringVar(&f.reassemblyCap, "reassembly-cap", "1MiB", "out-of-order `BYTES` held per side (KiB, MiB, GiB allowed)")
	s.StringVar(&f.overflow, "overflow", "sliding-window", "when the cap is hit: sliding-window or drop-flow")
	s.StringVar(&f.overlap, "overlap-policy", "bsd", "who wins where segments overlap: bsd, first, last, linux, vista, solaris or old-linux")
	s.StringVar(&f.dedup, "dedup", "off", "drop duplicate frames: off, loopback, or a `WINDOW` such as 10ms")
	s.BoolVar(&f.verifyChecksums, "verify-checksums", false, "only count packets with a bad checksum, as their receiver throws them away")
	s.BoolVar(&f.monotonic, "monotonic", false, "clamp packet times so that they never run backwards")
	s.BoolVar(&f.anomalies, "anomalies", false, "write anomaly lines")
	s.BoolVar(&f.keyVLAN, "key-vlan", false, "VLAN ids are part of what makes a flow")
	s.BoolVar(&f.keyTunnel, "key-tunnel", false, "tunnel ids are part of what makes a flow")
	s.BoolVar(&f.poisonEndsFlow, "poison-ends-flow", false, "a parse error ends the flow, not only its parsing")
	s.BoolVar(&f.streamHash, "stream-hash", false, "add the SHA-256 of each TCP stream to its flow")
	f.monitor.register(s)
}

// pipeline turns flags into the options of a driver.
func (f *flags) pipeline() (pipeline.Options[flow.Key], error) {
	o := pipeline.Options[flow.Key]{
		Anomalies:      f.anomalies,
		PoisonEndsFlow: f.poisonEndsFlow, VerifyChecksums: f.verifyChecksums,
		StreamHash:    f.streamHash,
		IdleTCP:       f.idleTCP,
		IdleUDP:       f.idleUDP,
		IdleOther:     f.idleOther,
		MaxFlows:      f.maxFlows,
		ActiveTimeout: f.activeTimeout,
		Monotonic:     f.monotonic,
	}
	for _, set := range []func(*pipeline.Options[flow.Key]) error{
		f.setTimeouts, f.setParsers, f.setReassembly, f.setKey, f.setDedup,
	} {
		if err := set(&o); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (f *flags) setTimeouts(o *pipeline.Options[flow.Key]) error {
	for name, d := range map[string]time.Duration{"idle-tcp": f.idleTCP, "idle-udp": f.idleUDP, "idle-other": f.idleOther} {
		if d <= 0 {
			return usagef("--%s must be longer than 0", name)
		}
	}
	if f.activeTimeout < 0 {
		return usagef("--active-timeout must not be negative")
	}
	if f.maxFlows < 1 {
		return usagef("--max-flows must be at least 1")
	}
	for _, s := range f.idlePorts {
		port, d, err := parseIdlePort(s)
		if err != nil {
			return err
		}
		if o.IdlePorts == nil {
			o.IdlePorts = map[uint16]time.Duration{}
		}
		o.IdlePorts[port] = d
	}
	return nil
}

func parseIdlePort(s string) (uint16, time.Duration, error) {
	p, v, ok := strings.Cut(s, "=")
	port, err := strconv.ParseUint(p, 10, 16)
	if !ok || err != nil {
		return 0, 0, usagef("--idle-port %s: want PORT=DURATION, such as 53=10s", s)
	}
	d, err := time.ParseDuration(v)
	if err != nil || d <= 0 {
		return 0, 0, usagef("--idle-port %s: %q is no positive duration", s, v)
	}
	return uint16(port), d, nil
}

// parserNames are the parsers of the program, in the order they are asked.
var parserNames = []string{"tls", "http", "dns"}

// protocols returns what a name of --parsers stands for; nil if it is unknown.
func protocols(name string) []parsers.Protocol {
	switch name {
	case "tls":
		return []parsers.Protocol{tls.Protocol(tls.Options{}), tls.StartTLS()}
	case "http":
		return []parsers.Protocol{http1.Protocol(http1.Options{})}
	case "dns":
		return []parsers.Protocol{dns.Protocol(dns.Options{})}
	}
	return nil
}

func (f *flags) setParsers(o *pipeline.Options[flow.Key]) error {
	names := strings.Split(f.parsers, ",")
	switch f.parsers {
	case "all":
		names = parserNames
	case "none":
		return nil
	}
	for _, name := range names {
		p := protocols(strings.TrimSpace(name))
		if p == nil {
			return usagef("--parsers %s is unknown: choose from %s, or all, or none", name, strings.Join(parserNames, ","))
		}
		o.Protocols = append(o.Protocols, p...)
	}
	o.Protocols = append(o.Protocols, socks.Protocol())
	return nil
}

func (f *flags) setReassembly(o *pipeline.Options[flow.Key]) error {
	n, err := parseBytes(f.reassemblyCap)
	if err != nil || n < 1 {
		return usagef("--reassembly-cap %s: want a number of bytes, such as 65536 or 1MiB", f.reassemblyCap)
	}
	o.Reassembly.Cap = n
	switch f.overflow {
	case "sliding-window":
		o.Reassembly.Overflow = flow.SlidingWindow
	case "drop-flow":
		o.Reassembly.Overflow = flow.DropFlow
	default:
		return usagef("--overflow %s is unknown: use sliding-window or drop-flow", f.overflow)
	}
	if o.Reassembly.Overlap, err = reassembly.ParsePolicy(f.overlap); err != nil {
		return usagef("--overlap-policy: %w", err)
	}
	return nil
}

func (f *flags) setKey(o *pipeline.Options[flow.Key]) error {
	var err error
	if o.Decap, err = packet.ParseDecap(f.decap); err != nil {
		return usagef("--decap: %w", err)
	}
	switch f.key {
	case "five-tuple":
		o.Extractor = packet.FiveTuple{KeyVLAN: f.keyVLAN, KeyTunnel: f.keyTunnel}
		return nil
	case "ip-pair":
		o.Extractor = packet.IPPair{}
	case "mac-pair":
		o.Extractor = packet.MACPair{}
	default:
		return usagef("--key %s is unknown: use five-tuple, ip-pair or mac-pair", f.key)
	}
	if f.keyVLAN || f.keyTunnel {
		return usagef("--key-vlan and --key-tunnel go with --key five-tuple")
	}
	return nil
}

func (f *flags) setDedup(o *pipeline.Options[flow.Key]) error {
	switch f.dedup {
	case "off":
	case "loopback":
		o.Dedup = packet.LoopbackDedup()
	default:
		d, err := time.ParseDuration(f.dedup)
		if err != nil || d < 0 {
			return usagef("--dedup %s: want off, loopback, or a window such as 10ms", f.dedup)
		}
		o.Dedup = packet.NewDedup(d, packet.DefaultDedupCapacity)
	}
	return nil
}

// parseBytes reads a size: digits, then nothing, KiB, MiB or GiB.
func parseBytes(s string) (int, error) {
	shift := 0
	for suffix, n := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if t, ok := strings.CutSuffix(s, suffix); ok {
			s, shift = t, n
		}
	}
	n, err := strconv.ParseUint(s, 10, 40)
	if err != nil || n > 1<<40>>shift {
		return 0, fmt.Errorf("%q is no size in bytes", s)
	}
	return int(n << shift), nil
}
