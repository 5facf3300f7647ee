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
// run concurrently with writers and readers. Data is removed from the index
// when it is a day old and two rounds, four hours apart, have found it
// unneeded; packs are deleted when they are a day old and no longer in the
// index.
var safety = maintenance.SafetyFull

// The modes of maintenance.
const (
	fullMode  = "full"
	quickMode = "quick"
	noMode    = "none"
)

// Maintain deletes data that no set needs any more, as far as that is safe, and
// keeps the index small. A full maintenance checks all stored data. It runs on
// request or once a day, but not while a backup runs that began hours ago;
// otherwise a quick one runs. One maintenance runs at a time.
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
		u.Mode, u.Why = fullMode, "sets were dropped, or it was requested"
	case !at.Before(schedule.NextFullMaintenanceTime):
		u.Mode, u.Why = fullMode, "it is due once a day"
	case !at.Before(schedule.NextQuickMaintenanceTime):
		u.Mode, u.Why = quickMode, "it is due once an hour; a full one is due at "+
			schedule.NextFullMaintenanceTime.UTC().Format(time.RFC3339)
	default:
		u.Mode, u.Why = noMode, "none is due before "+schedule.NextQuickMaintenanceTime.UTC().Format(time.RFC3339)
	}
	if u.Mode != fullMode {
		return nil
	}
	return r.waitFor(ctx, u)
}

// waitFor turns a full maintenance into a quick one while runs exist that it
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
		u.Mode, u.Why = quickMode, fmt.Sprintf("a full one waits for backups that began more than %v ago", runGrace)
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
	file, release, err := r.location.backend.lockFile()
	if err != nil {
		return r.location.explain("lock", err)
	}
	defer release()
	ran := false
	err = maintenance.RunExclusive(ctx, lockedWriter{w, file}, maintenance.Mode(u.Mode), false,
		func(ctx context.Context, run maintenance.RunParameters) error {
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
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("maintain repository %s: %s owns its maintenance", r.location, owned.Owner),
			Why:   "kopia lets only one owner maintain a repository.",
			Do: "Let that owner maintain it, or make Holdfast the owner: `kopia maintenance set --owner=" +
				r.rep.ClientOptions().UsernameAtHost() + "`.",
		}
	case err != nil:
		return r.unmaintained(err)
	case !ran:
		return &holdfast.Problem{
			Class: holdfast.Busy,
			What:  fmt.Sprintf("repository %s: another process holds the maintenance lock", r.location),
			Do:    "Run it again when that process has ended.",
		}
	}
	if fatal := r.fatal.Load(); fatal != nil {
		return r.location.explain("maintain", *fatal)
	}
	if u.Mode == fullMode {
		if err := errors.Join(r.dropFormerCopies(ctx), r.extendOurs(ctx)); err != nil {
			return r.location.explain("maintain", err)
		}
	}
	return r.outlook(ctx, u)
}

// unmaintained explains why a maintenance failed.
func (r *Repository) unmaintained(err error) error {
	err = r.location.explain("maintain", err)
	var p *holdfast.Problem
	if !errors.As(err, &p) || p.Class != holdfast.Failed || p.Do != "" {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  p.What,
		Err:   p.Err,
		Why:   "No more space is freed until this is repaired. No set needs what was deleted.",
		Do: "Run `holdfast verify`. It names damaged sets: repair them from a second copy, or drop them with " +
			"`holdfast retention drop SET --yes`.",
	}
}

// lockedWriter is a writer with a path for kopia's own lock: its default is next
// to the configuration file, which no longer exists.
type lockedWriter struct {
	repo.DirectRepositoryWriter
	file string
}

// ConfigFilename is the file from which kopia derives the name of its lock.
func (w lockedWriter) ConfigFilename() string { return w.file }

func (r *Repository) direct() repo.DirectRepository {
	return r.rep.(repo.DirectRepository) //nolint:forcetypeassert // of every repository that is opened from a storage
}

// Size is the size of all blobs in the repository's storage.
func (r *Repository) Size(ctx context.Context) (int64, error) {
	var total int64
	err := r.storage().ListBlobs(ctx, "", func(m blob.Metadata) error {
		total += m.Length
		return ctx.Err()
	})
	return total, r.location.explain("read", err)
}

// outlook records how much stored data is unneeded, and when it can be deleted
// at the earliest.
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
			return nil //nolint:nilerr // statistics of another kopia version are unknown
		}
		u.Unneeded = int64(gc.UnreferencedContentSize)    //nolint:gosec // bytes of a disk
		u.Young = int64(gc.UnreferencedRecentContentSize) //nolint:gosec // bytes of a disk
		if u.Unneeded > 0 {
			// What this round has found is deleted after a round that began an
			// hour later and another that began four hours after that.
			at := round.Start.Add(safety.DropContentFromIndexExtraMargin +
				safety.MarginBetweenSnapshotGC).UTC().Truncate(time.Second)
			u.NotBefore = &at
		}
		return nil
	}
	return nil
}

// stages reports the stages of a maintenance, from kopia's log: lines that end
// in dots name a stage. The other lines only help to debug kopia.
type stages event.Listener

func (s stages) Write(p []byte) (int, error) {
	if stage, ok := strings.CutSuffix(strings.TrimSpace(string(p)), "..."); ok {
		event.Listener(s).Report(MaintenanceStage{strings.TrimSpace(stage)})
	}
	return len(p), nil
}
