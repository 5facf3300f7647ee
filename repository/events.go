package repository

import (
	"fmt"
	"time"
)

// The events of a repository.
type (
	// LockAwaited says that another process holds a lock, and that it is waited
	// for.
	LockAwaited struct {
		Repository string
		Lock       string        // "history" or "maintenance"
		Patience   time.Duration // at most so long
	}

	// LeaseNotRenewed says that a run could not say that it is alive. A run that
	// cannot for too long does not publish its set.
	LeaseNotRenewed struct {
		Repository string
		Silent     time.Duration // since it last could
		Err        error
	}

	// MaintenanceBegan says that a maintenance begins, and why it is full or
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
	return fmt.Sprintf("another process holds the %s lock of repository %s, waiting up to %v", e.Lock, e.Repository, e.Patience)
}

func (e LeaseNotRenewed) String() string {
	return fmt.Sprintf("repository %s does not accept the run's lease since %v: %v", e.Repository, e.Silent.Round(time.Second), e.Err)
}

func (e MaintenanceBegan) String() string { return fmt.Sprintf("maintenance: %s: %s", e.Mode, e.Why) }

func (e MaintenanceStage) String() string { return "maintenance: " + e.Name }

func (e MaintenanceEnded) String() string {
	return fmt.Sprintf("maintenance: %s, from %d to %d bytes in %v", e.Mode, e.Before, e.After, e.Took.Round(time.Millisecond))
}
