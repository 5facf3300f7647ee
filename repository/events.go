package repository

import (
	"fmt"
	"time"
)

// The events of a repository.
type (
	// LockAwaited says that another process holds a lock, and that this one
	// waits for it.
	LockAwaited struct {
		Repository string
		Lock       string        // "history" or "maintenance"
		Patience   time.Duration // the longest wait
	}

	// LeaseNotRenewed says that a run could not renew its lease. A run that
	// loses its lease does not publish its set.
	LeaseNotRenewed struct {
		Repository string
		Silent     time.Duration // since the last renewal
		Err        error
	}

	// MaintenanceBegan says which maintenance begins, and why it is full or
	// quick.
	MaintenanceBegan struct{ Mode, Why string }

	// MaintenanceStage says what a maintenance is doing, in kopia's words.
	MaintenanceStage struct{ Name string }

	// MaintenanceEnded says how large the repository is now.
	MaintenanceEnded struct {
		Mode          string
		Before, After int64 // bytes
		Took          time.Duration
	}
)

func (e LockAwaited) String() string {
	return fmt.Sprintf("another process holds the %s lock of repository %s, waiting up to %v", e.Lock, e.Repository,
		e.Patience)
}

func (e LeaseNotRenewed) String() string {
	return fmt.Sprintf("repository %s does not accept the run's lease since %v: %v", e.Repository,
		e.Silent.Round(time.Second), e.Err)
}

func (e MaintenanceBegan) String() string { return fmt.Sprintf("maintenance: %s: %s", e.Mode, e.Why) }

func (e MaintenanceStage) String() string { return "maintenance: " + e.Name }

func (e MaintenanceEnded) String() string {
	return fmt.Sprintf("maintenance: %s, from %d to %d bytes in %v", e.Mode, e.Before, e.After,
		e.Took.Round(time.Millisecond))
}
