package xdp

import (
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const membarrierGlobal = 1 // MEMBARRIER_CMD_GLOBAL: an RCU grace period

// Grace returns when no program that may have seen flows alive is running any more: what
// was counted of those killed before is final. It takes some milliseconds, so kill
// many flows before; in a replay it returns at once.
func (e *Engine) Grace() error {
	if e.opt.Replay {
		return nil
	}
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno == 0 {
		return nil
	}
	return e.graceByMap() // there is no membarrier with nohz_full
}

// graceByMap writes the first ring where it is already: before such an update returns, the
// kernel waits for the programs that may use what it replaced.
func (e *Engine) graceByMap() error {
	if err := e.coll.Maps["rings"].Update(uint32(0), e.rings[0].m, ebpf.UpdateAny); err != nil {
		return fmt.Errorf("wait for running programs: %w", err)
	}
	return nil
}
