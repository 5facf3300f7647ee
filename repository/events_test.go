package repository_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/eventtest"
	"holdfast/repository"
)

// A maintenance reports its mode and the reason, its stages, and its result.
func TestAMaintenanceReportsItsStages(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		r := open(t, at)
		var heard eventtest.Record
		r.Events = heard.Hear
		u := maintain(t, r)
		types := heard.Types()
		if types[0] != "repository.MaintenanceBegan" || types[len(types)-1] != "repository.MaintenanceEnded" {
			t.Fatalf("reported: %v", types)
		}
		began := eventtest.Of[repository.MaintenanceBegan](&heard)[0]
		if began.Mode != u.Mode || began.Why != u.Why {
			t.Errorf("reported %+v of %+v", began, u)
		}
		if ended := eventtest.Of[repository.MaintenanceEnded](&heard)[0]; ended.Before != u.Before ||
			ended.After != u.After {
			t.Errorf("reported %+v of %+v", ended, u)
		}
		stages := eventtest.Of[repository.MaintenanceStage](&heard)
		if !slices.ContainsFunc(stages, func(s repository.MaintenanceStage) bool {
			return strings.Contains(s.Name, "full maintenance")
		}) {
			t.Errorf("the stages are %v", stages)
		}
	})
}

// Waiting for a lock is reported once, however long it takes.
func TestWaitingForALockIsReportedOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		release, err := open(t, at).HoldMaintenance(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var heard eventtest.Record
		other := open(t, at)
		other.Patience = time.Minute
		other.Events = func(e event.Event) {
			heard.Hear(e)
			if _, waits := e.(repository.LockAwaited); waits {
				time.AfterFunc(500*time.Millisecond, release)
			}
		}
		maintain(t, other)
		list := eventtest.Of[repository.LockAwaited](&heard)
		if len(list) != 1 || list[0].Lock != "maintenance" || list[0].Patience != time.Minute ||
			heard.All()[0] != list[0] {
			t.Errorf("reported: %+v", heard.All())
		}
	})
}

// A run whose lease cannot be renewed reports it long before the lease is lost.
func TestALeaseThatCannotBeRenewedIsReported(t *testing.T) {
	defer repository.SetLease(20*time.Millisecond, time.Hour, time.Hour)()
	at, dir := make1(t)
	r := open(t, at)
	var heard eventtest.Record
	r.Events = heard.Hear
	err := r.Write(t.Context(), "set", func(context.Context, holdfast.SetWriter) error {
		undo := inTheWay(t, dir)
		defer undo()
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if len(heard.All()) > 0 {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	list := eventtest.Of[repository.LeaseNotRenewed](&heard)
	if len(list) == 0 || list[0].Err == nil || list[0].Silent <= 0 || list[0].Repository != r.Name() {
		t.Errorf("reported: %+v", list)
	}
}

// inTheWay puts a file where the storage has a directory.
func inTheWay(t *testing.T, dir string) (undo func()) {
	t.Helper()
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Error(err)
		}
	}
}
