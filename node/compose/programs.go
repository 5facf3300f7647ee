package compose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
)

// Programs are the containers of a node, as a restore stops and starts them.
type Programs struct {
	// Node is the node as it is to be after the restore: as it runs now or, where
	// parts of it are missing or were started differently, as the set recorded it.
	Node  *Node
	Specs Specs
	Set   holdfast.SetID
	// Files are the set's; of them are the files of the bundle that are not
	// there.
	Files holdfast.Files
	// Fresh has Postgres start on an empty volume, whether or not it starts on
	// the one that is there, which is kept.
	Fresh bool
	// Notes keep how far the exchange of a volume is.
	Notes Notes
	// Ready asks the databases' server for an answer.
	Ready func(ctx context.Context) error
	// Identity reads from the participant's database which participant it is;
	// "" for one that has not been made yet.
	Identity func(ctx context.Context) (string, error)
	// Beside is what the databases' server has that is in no set. Nil: unknown.
	Beside func(ctx context.Context) ([]string, error)
	// Asked asks the participant that runs which one it is. One that cannot be
	// asked is believed by its database; nil: none is asked.
	Asked func(ctx context.Context) (string, error)
	// Patience is how long a container may take to become ready; 10 minutes if 0,
	// as start.sh -w waits.
	Patience time.Duration
	Now      func() time.Time

	at       time.Time // when the plan was made: names have it
	kept     []holdfast.KeptFile
	beside   []string        // what a volume takes with it that makes room
	recorded bool            // the node is as the set recorded it, and not as it runs
	down     map[string]bool // the roles that this process has left down, because what they need is
}

// Notes keep a value on disk until a restore, or the way back from it, has come
// to its end. They outlive the process.
type Notes interface {
	ReadNotes(v any) error
	WriteNotes(v any) error
}

// Revive chooses what a node is to be after a restore: as it runs now, as long
// as its databases are those of the set and nothing of it is missing; else as
// the set recorded it, at the given site.
func Revive(ctx context.Context, e *Engine, at Site, set holdfast.Set, files holdfast.Files) (*Programs, error) {
	list, err := e.Containers(ctx)
	if err != nil {
		return nil, err
	}
	p := &Programs{Set: set.ID, Files: files, Now: time.Now}
	if set.Deployment != nil {
		p.beside = slices.DeleteFunc(slices.Clone(set.Deployment.NotKept), func(what string) bool {
			return !strings.HasPrefix(what, "database ") && !strings.HasPrefix(what, "role ")
		})
	}
	now, missing := Choose(list, at)
	now, missing = e.settled(ctx, now, missing)
	var gone *NotFound
	if missing != nil && !errors.As(missing, &gone) {
		return nil, missing
	}
	at.Directory = cmp.Or(at.Directory, now.Directory) // of a bundle that was moved since
	recorded, specs, err := Recorded(ctx, e, set, files, at)
	if err != nil {
		if missing != nil {
			return nil, errors.Join(missing, err)
		}
		p.Node = NewNode(e, now)
		return p, nil
	}
	p.Node, p.Specs, p.kept, p.recorded = recorded, specs, at.files(set), true
	if missing == nil && len(differences(now, recorded.Bundle)) == 0 {
		p.Node, p.recorded = NewNode(e, now), false
	}
	return p, nil
}

// differences are what makes a node that runs now another one than the set's:
// the roles whose containers were started differently, and how.
func differences(now, then Bundle) map[string]string {
	out := map[string]string{}
	differ := func(role, what, a, b string) {
		if a != b {
			out[role] = fmt.Sprintf("it was started with %s %q, the set's with %q", what, a, b)
		}
	}
	if now.Participant != nil {
		differ("participant", "the database", now.ParticipantDatabase().Name, then.ParticipantDatabase().Name)
	}
	if now.Validator != nil {
		differ("validator", "the database", now.ValidatorDatabase().Name, then.ValidatorDatabase().Name)
		differ("validator", "the party hint", now.Start().PartyHint, then.Start().PartyHint)
		differ("validator", "the participant identifier", now.Start().Identifier, then.Start().Identifier)
	}
	if now.Postgres != nil && then.Postgres != nil {
		for _, name := range then.Postgres.Env.Names() {
			if strings.HasPrefix(name, "CREATE_DATABASE_") || name == "PARTICIPANT_DB_NAME" {
				differ("postgres", name, now.Postgres.Env.Get(name), then.Postgres.Env.Get(name))
			}
		}
	}
	return out
}

// current are the project's containers as they are now.
func (p *Programs) current(ctx context.Context) (Bundle, error) {
	list, err := p.Node.Engine.project(ctx, p.Node.Project)
	return p.Node.again(list), err
}

// roleOf is the role of a container, "" for one without.
func (b Bundle) roleOf(id string) string {
	for _, r := range b.Roles() {
		if r.Container.ID == id {
			return r.Role
		}
	}
	return ""
}

// oneShot says that a container of the set did its work once and ended.
func (c Container) oneShot() bool {
	return c.State == "exited" && c.ExitCode == 0 && (c.Restart.Name == "no" || c.Restart.Name == "")
}

// missing are the recorded containers that are not there now.
func (p *Programs) missing(now Bundle) []Container {
	var out []Container
	for _, c := range p.Node.All {
		if !slices.ContainsFunc(now.All, func(o Container) bool { return o.Name == c.Name }) {
			out = append(out, c)
		}
	}
	return out
}
