package main

import (
	"github.com/flowscope/flowscope-xdp/userspace/engine"
	"github.com/flowscope/flowscope-xdp/userspace/flow"
	"github.com/flowscope/flowscope-xdp/userspace/packet"
	"github.com/flowscope/flowscope-xdp/userspace/pipeline"
	"github.com/flowscope/flowscope-xdp/userspace/xdp"
)

// loadOptions are what flags say to the XDP program.
func (f *flags) loadOptions(decap packet.Decap) xdp.Options {
	o := xdp.Options{KeyVLAN: f.keyVLAN, KeyTunnel: f.keyTunnel, Decap: decap.Kinds(), TunnelPorts: []xdp.TunnelPort{}}
	for _, p := range decap.UDPPorts() {
		o.TunnelPorts = append(o.TunnelPorts, xdp.TunnelPort{Port: p.Port, Kind: p.Kind})
	}
	return o
}

// checkKernel refuses what only the userspace engine can do.
func (f *flags) checkKernel() error {
	switch {
	case f.key != "five-tuple":
		return usagef("--key %s goes with replay --engine userspace: the kernel's table is keyed by five-tuple", f.key)
	case f.verifyChecksums:
		return usagef("--verify-checksums goes with replay --engine userspace")
	case f.dedup != "off":
		return usagef("--dedup goes with replay --engine userspace")
	}
	return nil
}

func newKernelReplayer(f *flags, opt pipeline.Options[flow.Key]) (replayer, error) {
	if err := f.checkKernel(); err != nil {
		return nil, err
	}
	return engine.NewReplay(opt, f.loadOptions(opt.Decap))
}
