package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"holdfast"
	"holdfast/canton"
	"holdfast/canton/admin"
	"holdfast/capture/postgres"
	"holdfast/config"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/node/compose"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/step"
)

// living is a compose node as the place of a restore: its databases, and its
// programs.
type living struct {
	databases.Target
	*compose.Programs
}

// living is the configured node as it is to be after a restore of the set.
func (w wiring) living(ctx context.Context, set holdfast.Set, files holdfast.Files, f restoreFlags) (living, error) {
	engine, err := compose.Connect(w.Compose.DockerHost)
	if err != nil {
		return living{}, err
	}
	programs, err := compose.Revive(ctx, engine, compose.Site{Project: w.Compose.Project, Directory: w.Compose.Directory}, set, files)
	if err != nil {
		return living{}, err
	}
	programs.Fresh = f.freshVolume
	return w.with(programs, f.options())
}

// with makes a place of a node's programs.
func (w wiring) with(programs *compose.Programs, options postgres.LoadOptions) (living, error) {
	n, err := w.databases()
	if err != nil {
		return living{}, err
	}
	targets(n, programs.Node)
	participant := programs.Node.Target(holdfast.Participant)
	programs.Path = w.journal()
	programs.Ready = func(ctx context.Context) error { return answers(ctx, participant) }
	programs.Identity = func(ctx context.Context) (string, error) { return identityOf(ctx, participant) }
	programs.Asked = adminOf(programs.Node).Who
	return living{w.placeOf(n, options), programs}, nil
}

// journal is where the restore of a compose node keeps its journal.
func (w wiring) journal() string { return filepath.Join(w.Dir(), w.Config.Node+".restore.json") }

// adminOf asks a compose node's participant at its container, because the
// bundle publishes no port for the admin API.
func adminOf(n *compose.Node) admin.Client {
	return admin.Client{Address: "participant:5002", Dial: n.AdminReach().Dial}
}

// answers asks a database's server for a sign of life.
func answers(ctx context.Context, t libpq.Address) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	conn, err := t.On("postgres").Connect(ctx, libpq.Options{})
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// identityOf reads which participant a database is of; "" for one that has not
// been made yet.
func identityOf(ctx context.Context, t libpq.Address) (string, error) {
	conn, err := t.Connect(ctx, libpq.Options{})
	if holdfast.ClassOf(err) == holdfast.Usage { // the server says that there is no such database
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	found, err := canton.Recognise(ctx, conn)
	if err != nil || found.Kind != holdfast.Participant {
		return "", err
	}
	return found.ID, nil
}

// statement is the operator's word that the original is stopped, and who gave
// it; "" without one.
func (f restoreFlags) statement() string {
	if !f.originalStopped {
		return ""
	}
	host, _ := os.Hostname()
	return fmt.Sprintf("%s on %s, %s", os.Getenv("USER"), host, time.Now().UTC().Format(time.RFC3339))
}

// undoLiving puts back what the newest restore of a compose node replaced, or
// what one that was broken off has left, and has the node run as before.
func (a *app) undoLiving(ctx context.Context, w wiring, f restoreFlags) ([]databases.Move, error) {
	left, err := compose.BrokenOff(w.journal())
	if err != nil {
		return nil, err
	}
	place, err := a.livingNow(ctx, w, left)
	if err != nil {
		return nil, err
	}
	tell := w.progress.tell
	if left.Exchanged() { // what is on the empty volume goes with it
		return []databases.Move{}, place.Return(ctx, tell)
	}
	if left == nil {
		kept, err := place.replaced(ctx, f.freshVolume)
		if err != nil || kept != nil {
			return place.putBack(ctx, kept, err, tell)
		}
	}
	if err := place.Halt(ctx, step.Standstill{}, tell); err != nil {
		return nil, err
	}
	moves, err := a.undoDatabases(ctx, place.Target, left)
	if err != nil {
		return nil, errors.Join(err, place.Return(context.WithoutCancel(ctx), tell))
	}
	if left != nil {
		return moves, place.Return(ctx, tell)
	}
	participant, err := place.Identity(ctx)
	if err != nil || participant == "" {
		return moves, errors.Join(err, place.Return(ctx, tell))
	}
	return moves, place.Wake(ctx, participant, tell)
}

// replaced is the volume that the newest restore has replaced; nil when that
// restore has replaced databases alone. Certain says that the operator means
// the volume, so that the databases need not be asked.
func (l living) replaced(ctx context.Context, certain bool) (*compose.Kept, error) {
	list, err := l.Programs.Node.Engine.Kept(ctx, l.Programs.Node.Project)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(k compose.Kept) bool { return k.Role == string(databases.Before) })
	if i < 0 {
		if certain {
			return nil, &holdfast.Problem{Class: holdfast.Refused, What: "there is no volume to put back", Why: "No restore has put one aside.", Do: "`holdfast restore clean` lists what restores have left."}
		}
		return nil, nil
	}
	if certain {
		return &list[i], nil
	}
	databases, err := l.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	if filledOnce(list[i].At, databases) {
		return &list[i], nil
	}
	return nil, nil
}

// filledOnce says that no restore but the one that made room for an empty
// volume has replaced databases on it: to undo the newest is to put the volume
// back. Of later ones it is to put databases back.
func filledOnce(emptied time.Time, left []databases.Leftover) bool {
	restores := map[time.Time]bool{}
	for _, d := range left {
		if d.Role == databases.Before && d.At.After(emptied) {
			restores[d.At] = true
		}
	}
	return len(restores) <= 1
}

// putBack gives Postgres the kept volume back.
func (l living) putBack(ctx context.Context, k *compose.Kept, err error, tell func(string)) ([]databases.Move, error) {
	if err != nil {
		return nil, err
	}
	undone, err := l.PutBack(ctx, *k, tell)
	if err != nil {
		return nil, err
	}
	return []databases.Move{{From: k.Of, To: undone}, {From: k.Name, To: k.Of}}, nil
}

// livingNow is the node as it runs; after a restore that was broken off, as
// that one meant it to be. Where its set cannot be had any more, what runs, or
// is there stopped, has to do.
func (a *app) livingNow(ctx context.Context, w wiring, left *compose.Journal) (place living, err error) {
	if left != nil {
		err = a.withRepository(ctx, func(_ *config.Config, r *repository.Repository) error {
			set, files, err := r.Find(ctx, holdfast.NodeName(w.Config.Node), string(left.Set))
			if err != nil {
				return err
			}
			place, err = w.living(ctx, set, files, restoreFlags{})
			return err
		})
		if err == nil || ctx.Err() != nil {
			return place, err
		}
	}
	n, failed := w.compose(ctx)
	if failed != nil {
		return place, errors.Join(err, failed)
	}
	programs := &compose.Programs{Node: n, Now: time.Now}
	if left != nil {
		programs.Set = left.Set
		w.progress.tell(fmt.Sprintf("the set cannot be had (%v); going back from what is there", err))
	}
	return w.with(programs, postgres.LoadOptions{})
}

// undoDatabases takes the newest swap back; of a restore that was broken off,
// only if it had come that far, and what it was building is dropped.
func (a *app) undoDatabases(ctx context.Context, place databases.Target, left *compose.Journal) ([]databases.Move, error) {
	if left == nil {
		return place.Undo(ctx)
	}
	list, err := place.Leftovers(ctx)
	if err != nil {
		return nil, err
	}
	moves := []databases.Move{}
	if slices.ContainsFunc(list, func(l databases.Leftover) bool {
		return l.Role == databases.Before && l.Set == left.Set && !l.At.Before(left.Began)
	}) {
		if moves, err = place.Undo(ctx); err != nil {
			return moves, err
		}
	}
	var half []string
	for _, l := range list {
		if l.Role == databases.New && l.Set == left.Set {
			half = append(half, l.Name)
		}
	}
	return moves, place.Drop(ctx, half)
}

var _ restore.Living = living{}
