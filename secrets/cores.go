package secrets

import (
	"fmt"
	"syscall"
)

// noCores is a limit that is below every core's size. One byte also keeps the
// kernel from handing a core to a program of the host, such as systemd-coredump;
// zero would not.
const noCores = 1

// ForbidCores keeps the memory of this program, and of what it starts, off the
// disk when it crashes: secrets and private keys are in it.
func ForbidCores() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &limit); err != nil {
		return fmt.Errorf("read the limit of core files: %w", err)
	}
	most := min(noCores, limit.Max)
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
