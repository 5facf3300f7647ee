package rehearsal

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/event"
)

// Place is a server where schemas can be loaded.
type Place interface {
	// Rehearse loads the schema of a capture into an empty database and drops
	// that. The error says why it could not be done.
	Rehearse(ctx context.Context, set holdfast.SetID, c holdfast.Part, files holdfast.Files) (holdfast.Rehearsal, error)
}

// Sandbox is a Place that was made for this and is closed afterwards.
type Sandbox interface {
	Place
	Close() error
}

// Job rehearses the schemas of a set.
type Job struct {
	Live Place // next to the live databases
	// Sandbox makes a temporary server for those that cannot be rehearsed there.
	Sandbox func(ctx context.Context, set holdfast.Set) (Sandbox, error)
	Limit   time.Duration // for one component; 0 means 3 min
	Events  event.Listener
}

const defaultLimit = 3 * time.Minute

// Rehearse adds the evidence to every capture of the set whose method has a
// schema. The files are those of the set; the last set's evidence is taken over
// where it stands for this one as well. The error is that of a cancelled
// context: whatever else fails is in the evidence.
func (j Job) Rehearse(ctx context.Context, set *holdfast.Set, last holdfast.Set, files holdfast.Files) error {
	r := run{Job: j, set: *set, files: files}
	defer r.close()
	parts := set.Parts()
	for i := range set.Captures {
		for k := range set.Captures[i].Components {
			c := &set.Captures[i].Components[k]
			if c.Schema == "" {
				continue
			}
			now := parts[slices.IndexFunc(parts, func(p holdfast.Part) bool { return p.Component == c.Component })]
			if known := takenOver(last, now); known != nil {
				c.Rehearsal = known
				continue
			}
			j.Events.Report(Began{c.Component})
			result := r.rehearse(ctx, now)
			if err := ctx.Err(); err != nil {
				return err
			}
			c.Rehearsal = &result
			j.Events.Report(Ended{c.Component, result})
		}
	}
	return nil
}

// takenOver is the evidence of the last set, where it stands for a part of this
// one.
func takenOver(last holdfast.Set, now holdfast.Part) *holdfast.Rehearsal {
	then, ok := last.Part(now.Component)
	if !ok || then.Rehearsal == nil || !then.Rehearsal.StandsFor(then, now) {
		return nil
	}
	return then.Rehearsal
}

// run is one rehearsal of a set's schemas.
type run struct {
	Job
	set     holdfast.Set
	files   holdfast.Files
	sandbox Sandbox // made when the first component needs it
	failed  error   // why there is none
}

func (r *run) rehearse(ctx context.Context, c holdfast.Part) holdfast.Rehearsal {
	limit := cmp.Or(r.Limit, defaultLimit)
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := r.Live.Rehearse(ctx, r.set.ID, c, r.files)
	if ctx.Err() != nil {
		err = fmt.Errorf("it took longer than %v", limit)
	}
	if err == nil || ctx.Err() != nil {
		return unless(out, err)
	}
	place, failed := r.temporary(ctx)
	if failed != nil {
		return both(out, err, failed)
	}
	elsewhere, failed := place.Rehearse(ctx, r.set.ID, c, r.files)
	if failed != nil {
		return both(out, err, failed)
	}
	return like(elsewhere)
}

// temporary is the temporary server. What failed once is not tried again.
func (r *run) temporary(ctx context.Context) (Sandbox, error) {
	if r.sandbox != nil || r.failed != nil {
		return r.sandbox, r.failed
	}
	made, err := r.Job.Sandbox(ctx, r.set)
	if err != nil {
		r.failed = err
		return nil, err
	}
	r.sandbox = made
	return made, nil
}

func (r *run) close() {
	if r.sandbox == nil {
		return
	}
	if err := r.sandbox.Close(); err != nil {
		r.Events.Report(NotClosed{err})
	}
}

// unless makes a failure unknown evidence.
func unless(out holdfast.Rehearsal, err error) holdfast.Rehearsal {
	if err != nil {
		_, do := holdfast.Advice(err)
		out.Obstacles, out.Unknown = nil, err.Error()
		out.Do = cmp.Or(do, "Run the backup again; the message says what failed.")
	}
	return out
}

// both says why neither place would do, and what lets the first one.
func both(out holdfast.Rehearsal, live, sandbox error) holdfast.Rehearsal {
	out = unless(out, fmt.Errorf("not next to the live database: %w; nor in a temporary server: %s", live, sandbox))
	if _, more := holdfast.Advice(sandbox); more != "" {
		out.Do += " Or let it be done in a temporary server: " + more
	}
	return out
}

// surroundings are the classes of refusals that come from what a server has
// around it: files, libraries, other servers, languages of the system. A
// temporary server lacks some, and that says nothing about the node's own.
var surroundings = []string{"58", "08", "HV", "0A", "F0", "55", "22"}

// like leaves out of a temporary server's evidence what may be its own fault.
func like(out holdfast.Rehearsal) holdfast.Rehearsal {
	var lacks []string
	var rest []holdfast.Obstacle
	for _, o := range out.Obstacles {
		own := slices.ContainsFunc(surroundings, func(c string) bool { return strings.HasPrefix(o.Code, c) })
		if own {
			lacks = append(lacks, o.Object+": "+o.Refusal)
			continue
		}
		rest = append(rest, o)
	}
	out.Obstacles = rest
	if len(lacks) > 0 {
		out.Unknown = "the temporary server is not like the node's: " + strings.Join(lacks, "; ")
		out.Do = "Let the role of the backup create databases (ALTER ROLE ... CREATEDB), so that the schema is " +
			"tried on the node's own server, or install here what is missing."
	}
	return out
}
