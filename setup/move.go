package setup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/config"
	"holdfast/internal/durable"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/verify"
)

// Moved is what a move of the repository has done.
type Moved struct {
	From string          `json:"from"`
	To   string          `json:"to"`
	Sets int             `json:"sets"` // that are there
	Read int64           `json:"read"` // bytes of stored data that were read there
	Sent repository.Sent `json:"sent"`
	// Config is the file that names the new place now; ByHand says why it was not
	// changed.
	Config string `json:"config,omitempty"`
	ByHand string `json:"by_hand,omitempty"`
}

// Move sends everything to a place, reads all of it there, and makes the
// configuration name the place. The old place stays as it is. What was sent before
// it was broken off is found again.
func (p *Parts) Move(ctx context.Context, to place.Place) (Moved, error) {
	done := Moved{From: p.Config.Repository.Place.String(), To: to.String()}
	if err := p.movable(); err != nil {
		return done, err
	}
	r, err := p.Repository(ctx)
	if err != nil {
		return done, err
	}
	second := p.copyIn(to)
	options, err := p.copyOptions(second)
	if err != nil {
		return done, err
	}
	// All sets are sent, whatever a copy there was to keep.
	if done.Sent, err = r.CopyTo(ctx, second.Place, options...); err != nil {
		return done, notMoved(to, err)
	}
	there, err := p.openCopy(ctx, second)
	if err != nil {
		return done, notMoved(to, err)
	}
	if done.Read, err = p.readAll(ctx, there); err != nil {
		return done, notMoved(to, err)
	}
	if done.Sets, err = nothingBehind(ctx, r, there); err != nil {
		return done, notMoved(to, err)
	}
	if err := renameRepository(p.Config.File(), second.Place); err != nil {
		done.ByHand = err.Error()
	} else {
		done.Config = p.Config.File()
	}
	return done, nil
}

// movable refuses to move what the file does not name.
func (p *Parts) movable() error {
	named := slices.ContainsFunc(p.Config.Origins(), func(o config.Origin) bool {
		return o.Key == "repository.path" && strings.HasPrefix(o.From, "HOLDFAST_")
	})
	if !named {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "HOLDFAST_REPOSITORY_PATH names the repository, and not the file",
		Why:   "The file would still name another repository.",
		Do:    "Unset HOLDFAST_REPOSITORY_PATH, and run it again.",
	}
}

// notMoved says that nothing has changed.
func notMoved(to place.Place, err error) error {
	return &holdfast.Problem{
		Class: holdfast.ClassOf(err), What: "the repository was not moved to " + to.String(), Err: err,
		Why: "The repository is where it was, and the configuration names it.",
		Do:  "Mend what is named above, and run it again. It sends only what is missing.",
	}
}

// readAll reads everything that is stored in a repository, and judges it.
func (p *Parts) readAll(ctx context.Context, r *repository.Repository) (int64, error) {
	stock, err := r.Inspect(ctx)
	if err != nil {
		return 0, err
	}
	job := verify.Job{
		Stock: stock, Digest: postgres.Digest, Lanes: runtime.NumCPU(), Now: time.Now, Events: p.Events,
	}
	plan, err := job.Plan(ctx, verify.Request{Level: verify.Data})
	if err != nil {
		return 0, err
	}
	report, err := job.Run(ctx, plan)
	if err == nil && report.Verdict != holdfast.Holds {
		err = fmt.Errorf("what is stored there does not hold: %s", report.Verdict)
	}
	return report.Read, err
}

// nothingBehind refuses while the new place lacks a set: one that was stored
// meanwhile, or that was dropped there.
func nothingBehind(ctx context.Context, r, there *repository.Repository) (int, error) {
	ours, err := r.Sets(ctx, "")
	if err != nil {
		return 0, err
	}
	theirs, err := there.Sets(ctx, "")
	if err != nil {
		return 0, err
	}
	var behind []string
	for _, e := range ours {
		if !slices.ContainsFunc(theirs, func(o repository.Entry) bool { return o.Node == e.Node && o.ID == e.ID }) {
			behind = append(behind, string(e.ID))
		}
	}
	if len(behind) == 0 {
		return len(theirs), nil
	}
	return 0, &holdfast.Problem{
		Class: holdfast.Refused, What: "it lacks " + strings.Join(behind, ", ") +
			": stored meanwhile, or dropped there by name",
	}
}

// renameRepository changes repository.path in the file: the whole of it or nothing.
func renameRepository(file string, to place.Place) (err error) {
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	next, err := config.MoveRepository(file, text, to)
	if err != nil {
		return err
	}
	is, err := os.Stat(file)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".holdfast-*.yaml")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	_, err = temp.Write(next)
	if err = errors.Join(err, temp.Chmod(is.Mode().Perm()), sameOwner(temp, is), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(file))
}
