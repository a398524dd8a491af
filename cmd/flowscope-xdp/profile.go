package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"

	"github.com/spf13/pflag"
)

// profiles are the files that say where a run's time and memory went, for go tool
// pprof.
type profiles struct{ cpu, memory string }

func (p *profiles) register(s *pflag.FlagSet) {
	s.StringVar(&p.cpu, "cpu-profile", "", "write a CPU profile to `FILE`, for go tool pprof")
	s.StringVar(&p.memory, "memory-profile", "", "write a profile of the memory in use at the end to `FILE`")
}

// around runs f and writes the profiles that were asked for.
func (p *profiles) around(f func() error) error {
	if p.cpu != "" {
		out, err := os.Create(p.cpu)
		if err != nil {
			return fmt.Errorf("create CPU profile: %w", err)
		}
		defer out.Close()
		if err := pprof.StartCPUProfile(out); err != nil {
			return fmt.Errorf("start CPU profile: %w", err)
		}
		defer pprof.StopCPUProfile()
	}
	return errors.Join(f(), p.writeMemory())
}

func (p *profiles) writeMemory() error {
	if p.memory == "" {
		return nil
	}
	out, err := os.Create(p.memory)
	if err != nil {
		return fmt.Errorf("create memory profile: %w", err)
	}
	runtime.GC() // up to date
	if err := errors.Join(pprof.WriteHeapProfile(out), out.Close()); err != nil {
		return fmt.Errorf("write memory profile: %w", err)
	}
	return nil
}
