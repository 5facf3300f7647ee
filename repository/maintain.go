package repository

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/blob"
	"github.com/kopia/kopia/repo/logging"
	"github.com/kopia/kopia/repo/maintenance"
	"github.com/kopia/kopia/repo/maintenancestats"
	"github.com/kopia/kopia/snapshot/snapshotgc"

	"holdfast"
	"holdfast/event"
	"holdfast/record"
)

// safety is how careful maintenance is: kopia's full rules, always. They let it
// run beside writers and readers: bytes have to be a day old to be found
// unneeded, and to be found so twice, four hours apart, before they are
// forgotten; packs have to be a day old and forgotten to be deleted.
var safety = maintenance.SafetyFull

// The modes of maintenance.
const (
	fullMode  = "full"
	quickMode = "quick"
	noMode    = "none"
)

// Maintain gives back what no set needs any more, as far as that is safe, and
// keeps the index small. Full looks through everything that is stored; it is
// done when it is asked for or due (once a day), and not while there is a run
// that began hours ago. Otherwise it is quick. One maintenance runs at a time.
func (r *Repository) Maintain(ctx context.Context, full bool) (record.Maintenance, error) {
	unlock, err := r.lock(ctx, maintenanceLock, r.Patience)
	if err != nil {
		return record.Maintenance{}, err
	}
	defer unlock()
	if err := r.refresh(ctx); err != nil {
		return record.Maintenance{}, err
	}
	u, began := record.Maintenance{}, now()
	if u.Before, err = r.Size(ctx); err != nil {
		return u, err
	}
	if err := r.choose(ctx, full, &u); err != nil {
		return u, err
	}
	if u.Mode != noMode {
		r.Events.Report(MaintenanceBegan{Mode: u.Mode, Why: u.Why})
		err = r.reworded(r.maintain(ctx, &u))
	}
	var sizeErr error
	if u.After, sizeErr = r.Size(ctx); err == nil {
		err = sizeErr
	}
	if err == nil && u.Mode != noMode {
		r.Events.Report(MaintenanceEnded{Mode: u.Mode, Before: u.Before, After: u.After, Took: now().Sub(began)})
	}
	return u, err
}

// choose decides between a full maintenance, a quick one and none.
func (r *Repository) choose(ctx context.Context, full bool, u *record.Maintenance) error {
	schedule, err := maintenance.GetSchedule(ctx, r.direct())
	if err != nil {
		return r.location.explain("maintain", err)
	}
	switch at := now(); {
	case full:
		u.Mode, u.Why = fullMode, "sets were dropped, or it was asked for"
	case !at.Before(schedule.NextFullMaintenanceTime):
		u.Mode, u.Why = fullMode, "it is due once a day"
	case !at.Before(schedule.NextQuickMaintenanceTime):
		u.Mode, u.Why = quickMode, "it is due once an hour; a full one is due at "+schedule.NextFullMaintenanceTime.UTC().Format(time.RFC3339)
	default:
		u.Mode, u.Why = noMode, "none is due before "+schedule.NextQuickMaintenanceTime.UTC().Format(time.RFC3339)
	}
	if u.Mode != fullMode {
		return nil
	}
	return r.waitFor(ctx, u)
}

// waitFor makes a full maintenance a quick one while there are runs that it
// could harm.
func (r *Repository) waitFor(ctx context.Context, u *record.Maintenance) error {
	runs, err := r.runs(ctx)
	if err != nil {
		return err
	}
	u.Running = nil
	for _, began := range runs {
		if now().Sub(began) > runGrace {
			u.Running = append(u.Running, "a backup that began at "+began.Format(time.RFC3339))
		}
	}
	if len(u.Running) > 0 {
		u.Mode, u.Why = quickMode, fmt.Sprintf("a full one waits for runs that began more than %v ago", runGrace)
	}
	return nil
}

func (r *Repository) maintain(ctx context.Context, u *record.Maintenance) error {
	ctx = logging.WithLogger(ctx, logging.ToWriter(stages(r.Events)))
	_, w, err := r.direct().NewDirectWriter(ctx, repo.WriteSessionOptions{Purpose: "maintenance"})
	if err != nil {
		return r.location.explain("maintain", err)
	}
	defer func() { _ = w.Close(context.WithoutCancel(ctx)) }()
	ran := false
	err = maintenance.RunExclusive(ctx, r.exclusive(w), maintenance.Mode(u.Mode), false, func(ctx context.Context, run maintenance.RunParameters) error {
		ran = true
		if u.Mode == fullMode {
			if err := snapshotgc.Run(ctx, w, true, safety, run.MaintenanceStartTime); err != nil {
				return err
			}
		}
		return maintenance.Run(ctx, run, safety)
	})
	var owned maintenance.NotOwnedError
	switch {
	case errors.As(err, &owned):
		return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("maintain repository %s: its maintenance belongs to %s", r.location, owned.Owner),
			Why: "kopia lets only one owner maintain a repository.", Do: "Have that owner maintain it, or give it to Holdfast: `kopia maintenance set --owner=" + r.rep.ClientOptions().UsernameAtHost() + "`."}
	case err != nil:
		return r.unmaintained(err)
	case !ran:
		return &holdfast.Problem{Class: holdfast.Busy, What: fmt.Sprintf("repository %s: another process is at its maintenance", r.location), Do: "Wait until it has ended."}
	}
	if fatal := r.fatal.Load(); fatal != nil {
		return r.location.explain("maintain", *fatal)
	}
	return r.outlook(ctx, u)
}

// unmaintained explains why a maintenance did not come to its end.
func (r *Repository) unmaintained(err error) error {
	err = r.location.explain("maintain", err)
	var p *holdfast.Problem
	if !errors.As(err, &p) || p.Class != holdfast.Failed || p.Do != "" {
		return err
	}
	return &holdfast.Problem{Class: holdfast.Failed, What: p.What, Err: p.Err,
		Why: "Nothing more is given back until this is mended; what it has given back was needed by no set.",
		Do:  "If its storage is well, a set in it is damaged: mend it from a second copy, or drop it with `holdfast retention drop SET --yes`."}
}

// exclusive is w with a place for the lock that kopia takes itself: it would
// be beside the configuration file, which is gone.
func (r *Repository) exclusive(w repo.DirectRepositoryWriter) repo.DirectRepositoryWriter {
	if file := r.location.site.lockFile(); file != "" {
		return lockedWriter{w, file}
	}
	return w
}

type lockedWriter struct {
	repo.DirectRepositoryWriter
	file string
}

// ConfigFilename is what kopia derives the name of its lock from.
func (w lockedWriter) ConfigFilename() string { return w.file }

func (r *Repository) direct() repo.DirectRepository {
	return r.rep.(repo.DirectRepository) //nolint:forcetypeassert // of every repository that is opened from a storage
}

// Size is how many bytes the repository's storage lists.
func (r *Repository) Size(ctx context.Context) (int64, error) {
	var total int64
	err := r.storage().ListBlobs(ctx, "", func(m blob.Metadata) error {
		total += m.Length
		return ctx.Err()
	})
	return total, r.location.explain("read", err)
}

// outlook says what is unneeded and still stored, and when it can be given
// back at the earliest.
func (r *Repository) outlook(ctx context.Context, u *record.Maintenance) error {
	schedule, err := maintenance.GetSchedule(ctx, r.direct())
	if err != nil {
		return r.location.explain("maintain", err)
	}
	rounds := schedule.Runs[maintenance.TaskSnapshotGarbageCollection]
	for _, round := range rounds {
		if !round.Success || len(round.Extra) == 0 {
			continue
		}
		stats, err := maintenancestats.BuildFromExtra(round.Extra[0])
		gc, ok := stats.(*maintenancestats.SnapshotGCStats)
		if err != nil || !ok {
			return nil //nolint:nilerr // another kopia's statistics: nothing can be said
		}
		u.Unneeded, u.Young = int64(gc.UnreferencedContentSize), int64(gc.UnreferencedRecentContentSize) //nolint:gosec // bytes of a disk
		if u.Unneeded > 0 {
			// What this round has found is forgotten after a round that began an
			// hour later than it and another that began four hours after that.
			at := round.Start.Add(safety.DropContentFromIndexExtraMargin + safety.MarginBetweenSnapshotGC).UTC().Truncate(time.Second)
			u.NotBefore = &at
		}
		return nil
	}
	return nil
}

// stages reports what a maintenance is doing. kopia says it in its log, whose
// lines on stages end in dots; the others are for whoever mends kopia.
type stages event.Listener

func (s stages) Write(p []byte) (int, error) {
	if stage, ok := strings.CutSuffix(strings.TrimSpace(string(p)), "..."); ok {
		event.Listener(s).Report(MaintenanceStage{strings.TrimSpace(stage)})
	}
	return len(p), nil
}
