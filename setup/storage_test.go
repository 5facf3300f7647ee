package setup

import (
	"context"
	"testing"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/repository"
)

// Metrics say how large the storage is, when its first lock ends, and what went to
// and from places outside of the machine.
func TestTheStorageIsMeasured(t *testing.T) {
	s := pageService(t)
	if n := s.measured(time.Now()); n.Stored != 0 || len(n.Traffic) != 0 || !n.LocksEnd.IsZero() {
		t.Errorf("before anything was read: %+v", n)
	}
	if err := s.with(t.Context(), func(p *Parts) error { return s.read(t.Context(), p) }); err != nil {
		t.Fatal(err)
	}
	first := s.measured(time.Now()).Stored
	fillSets(t, s.config().Repository.Place, holdfast.NewSecret(pagePassword), 1)
	sizeIn := func(later time.Duration) (size int64) {
		err := s.with(t.Context(), func(p *Parts) error {
			r, err := p.Repository(t.Context())
			if err == nil {
				size, err = s.size.of(context.WithoutCancel(t.Context()), r, time.Now().Add(later))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	if soon, late := sizeIn(time.Minute), sizeIn(measureEach+time.Minute); first == 0 || soon != first || late <= first {
		t.Errorf("%d bytes, a minute later %d, much later %d", first, soon, late)
	}

	for range 2 {
		s.Options.Events.Report(repository.TrafficCounted{
			Repository: "s3:b", Traffic: repository.Traffic{Writes: 2, Reads: 3, Sent: 5, Received: 7},
		})
	}
	until := time.Now().Add(time.Hour)
	s.judged(check.Report{}, check.Observations{Locks: holdfast.Known(check.Locks{Until: until, Period: 2 * time.Hour})}, time.Now())
	s.judged(check.Report{}, check.Observations{Locks: holdfast.Unknown[check.Locks]("cut off")}, time.Now())
	n := s.measured(time.Now())
	if len(n.Traffic) != 1 || n.Traffic[0].Place != "s3:b" || n.Traffic[0].Requests["write"] != 4 ||
		n.Traffic[0].Requests["read"] != 6 || n.Traffic[0].Sent != 10 || n.Traffic[0].Received != 14 {
		t.Errorf("traffic: %+v", n.Traffic)
	}
	if !n.LocksEnd.Equal(until) || n.LockPeriod != 2*time.Hour {
		t.Errorf("locks end %s of %s", n.LocksEnd, n.LockPeriod)
	}
}
