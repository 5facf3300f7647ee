package drill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/record"
	"holdfast/restore"
)

// Host is where sandboxes are made.
type Host interface {
	// Clean removes what drills that were killed have left.
	Clean(ctx context.Context) ([]string, error)
	// Room says whether that many bytes may be used here. It refuses with an
	// error what would endanger a live database.
	Room(ctx context.Context, bytes int64) (holdfast.Finding, error)
	// What says what kind of place it makes: "a container of postgres:15".
	What() string
	// Open makes a place for a set. Whatever it returns, nothing is left when the
	// place is closed.
	Open(ctx context.Context, set holdfast.Set) (Place, error)
}

// Place is a sandbox.
type Place interface {
	restore.Databases
	// Isolation says whether it was proven that no network is reached from it.
	Isolation() holdfast.Finding
	// Server says what it runs: "Postgres 15.18".
	Server() string
	// Facts reads what a restored database says about itself.
	Facts(ctx context.Context, c holdfast.ComponentName) (holdfast.Facts, error)
	// Ask runs a question of the operator's, for reading only: it holds when it
	// returns no row, or one that is true.
	Ask(ctx context.Context, c holdfast.ComponentName, sql string) (holdfast.Finding, error)
	// Close removes the place and everything in it.
	Close() error
}

// Bootable is a Place where the node's participant can be started on its
// restored database, and reaches nothing else.
type Bootable interface {
	Place
	// Boot starts it, waits until it says who it is, and removes it again. A
	// Violation is a participant that does not start on this database.
	Boot(ctx context.Context, c holdfast.ComponentName) (record.Boot, error)
}

// Job rehearses restores.
type Job struct {
	Host Host
	// Identities judges the sealed identities; nil when no key was given to open
	// them.
	Identities func(ctx context.Context, sealed io.Reader, set holdfast.Set) holdfast.Finding
	Checks     map[holdfast.ComponentName][]string // questions in SQL
	Boot       bool                                // start the participant as well
	// Lock keeps other drills out of what this one shares with them, until release;
	// nil: it shares nothing.
	Lock func(ctx context.Context) (held func(context.Context) error, release func(), err error)
	// Within is the longest that it may take; 0: as long as it takes.
	Within time.Duration
	// Then is done with the restored databases of a set that came back, before the
	// place is closed; nil: nothing. Its error says nothing of the set.
	Then    func(ctx context.Context, place Place) error
	Version string // of Holdfast
	Machine string
	Now     func() time.Time
	Events  event.Listener
}

// Plan is what a drill needs, before anything is done.
type Plan struct {
	Set      holdfast.SetID    `json:"set"`
	Node     holdfast.NodeName `json:"node"`
	State    holdfast.State    `json:"state"`
	Bytes    int64             `json:"bytes"`       // of the databases, as captured
	Needs    int64             `json:"needs_bytes"` // 0: nothing of this machine
	Room     holdfast.Finding  `json:"room"`
	Place    string            `json:"place"` // what kind of place
	Boot     bool              `json:"boot"`
	Estimate time.Duration     `json:"estimate_ns,omitempty"` // of the restore, by the last drill
}

// slack is what a restore needs beyond the databases: the write-ahead log, and
// the sorting of indexes.
const slack = 512 << 20

// Plan says what a drill of the set needs. It returns the host's refusal with
// the plan.
func (j Job) Plan(ctx context.Context, set holdfast.Set, past []record.Drill) (Plan, error) {
	p := Plan{Set: set.ID, Node: set.Node.Name, State: set.State, Place: j.Host.What(), Boot: j.Boot}
	for _, c := range set.Parts() {
		p.Bytes += c.Database.Bytes
	}
	if !set.KeptElsewhere() {
		p.Needs = p.Bytes + p.Bytes/4 + slack
		p.Estimate, _ = record.RestoreEstimate(p.Bytes, past)
	}
	var err error
	p.Room, err = j.Host.Room(ctx, p.Needs)
	return p, err
}

// Run rehearses the restore of a set. The report is complete whatever was found;
// the error is nil only when everything holds. Without a report, nothing could
// be rehearsed.
func (j Job) Run(ctx context.Context, p Plan, set holdfast.Set, files holdfast.Files) (*Report, error) {
	began := j.Now()
	if j.Within > 0 {
		late := fmt.Errorf("the drill did not end within %v", j.Within)
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, j.Within, late)
		defer cancel()
	}
	if j.Lock != nil {
		_, release, err := j.Lock(ctx)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	cleaned, err := j.Host.Clean(ctx)
	if err != nil {
		return nil, err
	}
	for _, what := range cleaned {
		j.Events.Report(LeftoverRemoved{what})
	}
	r := &Report{
		Schema:     1,
		Set:        set.ID,
		Node:       set.Node.Name,
		State:      set.State,
		Taken:      set.Ended.Wall,
		At:         began.UTC(),
		Bytes:      p.Bytes,
		Snapshots:  set.KeptElsewhere(),
		Machine:    j.Machine,
		Holdfast:   j.Version,
		Cleaned:    cleaned,
		Components: []Component{},
	}
	j.Events.Report(ServerStarting{j.Host.What()})
	place, err := j.Host.Open(ctx, set)
	if err != nil {
		return nil, err
	}
	r.Server = place.Server()
	r.say(isolation, place.Isolation())
	r.manifest(set)
	err = j.rehearse(ctx, place, set, files, r)
	if err == nil && j.Boot {
		err = j.boot(ctx, place, set, r)
	}
	var then error
	if err == nil && j.Then != nil && r.found(restored, holdfast.Holds) && !r.found(inOrder, holdfast.Violated) {
		then = j.Then(ctx, place)
	}
	closed := place.Close()
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), closed)
	}
	if err != nil {
		return nil, errors.Join(err, closed)
	}
	removed := holdfast.Finding{
		Verdict:  holdfast.Holds,
		Evidence: "the sandbox was stopped, and all its files were removed",
	}
	if r.Snapshots {
		removed.Evidence = "the instances that were made of the snapshots were deleted"
	}
	if closed != nil {
		removed = holdfast.Finding{Verdict: holdfast.Violated, Evidence: closed.Error()}
	}
	r.say(nothingLeft, removed)
	r.Took = j.Now().Sub(began)
	r.judge()
	j.Events.Report(Ended{Set: r.Set, Verdict: r.Verdict, Bytes: r.Bytes, Restore: r.Restore, Took: r.Took})
	return r, errors.Join(r.problem(), then)
}

// rehearse restores, compares and checks. An error means that nothing is said
// of the set.
func (j Job) rehearse(ctx context.Context, place Place, set holdfast.Set, files holdfast.Files, r *Report) error {
	target := restore.Target{Databases: place}
	plan, err := restore.Make(ctx, target, set, restore.Options{Unproven: true}, j.Now())
	if err != nil {
		return err
	}
	done, err := restore.Apply(ctx, target, plan, set, files, j.Events)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, d := range done.Done {
		c, _ := set.Part(d.Component)
		r.Components = append(r.Components, Component{
			Name:     d.Component,
			Database: c.Database.Name,
			Tables:   d.Tables,
			Rows:     d.Rows,
			Bytes:    c.Database.Bytes,
			Took:     d.Took,
		})
	}
	if err != nil {
		f := holdfast.Finding{Verdict: holdfast.Violated, Evidence: err.Error()}
		switch holdfast.ClassOf(err) {
		case holdfast.Usage, holdfast.Refused, holdfast.Busy:
			return err // of the place, not of the set
		case holdfast.NoSpace, holdfast.Unreachable, holdfast.Undetermined:
			f.Verdict = holdfast.CannotTell
		case holdfast.NotProven, holdfast.Violation:
		default:
			if r.Snapshots && holdfast.ClassOf(err) == holdfast.WrongKey {
				return err // of its role
			}
			if r.Snapshots { // what a provider does not make today is no proof against the snapshot
				f.Verdict = holdfast.CannotTell
			}
		}
		r.say(restored, f)
		return nil
	}
	r.Restore = done.Took
	if r.Snapshots {
		r.say(restored, holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf(
			"%d databases came back from snapshots: what each says about itself lies between the readings around "+
				"its snapshot", len(r.Components))})
	} else {
		r.say(restored, holdfast.Finding{Verdict: holdfast.Holds, Evidence: fmt.Sprintf(
			"%s with %d rows: every row digest, every sequence, and what the databases say about themselves equal "+
				"the manifest%s", tables(r.Components), rows(r.Components), leftOut(done))})
	}
	if err := j.order(ctx, place, set, r); err != nil {
		return err
	}
	j.identities(ctx, set, files, r)
	return j.ask(ctx, place, set, r)
}

// leftOut names what was not restored, as the operator said.
func leftOut(done restore.Report) string {
	var names []string
	for _, d := range done.Done {
		names = append(names, d.Without...)
	}
	if len(names) == 0 {
		return ""
	}
	return "; left out, as you said: " + strings.Join(names, ", ")
}

// order proves the order again, from the restored databases.
func (j Job) order(ctx context.Context, place Place, set holdfast.Set, r *Report) error {
	fresh := set
	fresh.Captures = slices.Clone(set.Captures)
	for i, c := range fresh.Captures {
		fresh.Captures[i].Components = slices.Clone(c.Components)
		for k, of := range c.Components {
			facts, err := place.Facts(ctx, of.Component)
			if err != nil {
				return fmt.Errorf("read the facts of the restored %s: %w", of.Component, err)
			}
			fresh.Captures[i].Components[k].Facts = facts
			fresh.Captures[i].Components[k].Before = nil // it was read
		}
	}
	fresh.Prove()
	f := holdfast.Finding{Verdict: fresh.Order.Verdict}
	var said []string
	for _, e := range fresh.Order.Edges {
		said = append(said,
			fmt.Sprintf("%s before %s: %s; %s", e.First, e.Then, e.Clock.Evidence, e.Content.Evidence))
	}
	if f.Evidence = strings.Join(said, ". "); f.Evidence == "" {
		f.Evidence = "no rule orders these databases"
	}
	r.say(inOrder, f)
	f = holdfast.Finding{Verdict: fresh.Members.Verdict}
	said = nil
	for _, m := range fresh.Members.Findings {
		said = append(said, m.Evidence)
	}
	if f.Evidence = strings.Join(said, ". "); f.Evidence == "" {
		f.Evidence = "there is only one part"
	}
	r.say(oneNode, f)
	return nil
}

// identities checks the sealed identities; only a key reveals their contents.
func (j Job) identities(ctx context.Context, set holdfast.Set, files holdfast.Files, r *Report) {
	i := set.Identities
	if i == nil || i.SealedFile == "" {
		r.say(identities, holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: "the set has no identities"})
		return
	}
	in, err := files.Open(ctx, i.SealedFile)
	if err != nil {
		r.say(identities, holdfast.Finding{Verdict: holdfast.Violated, Evidence: err.Error()})
		return
	}
	defer func() { _ = in.Close() }()
	if j.Identities != nil {
		r.say(identities, j.Identities(ctx, in, set))
		return
	}
	n, err := io.Copy(io.Discard, in)
	if err != nil || n == 0 {
		r.say(identities, holdfast.Finding{
			Verdict:  holdfast.Violated,
			Evidence: fmt.Sprintf("the sealed identities: %d bytes, %v", n, err),
		})
		return
	}
	r.say(identities, holdfast.Finding{
		Verdict: holdfast.Holds,
		Evidence: fmt.Sprintf("the sealed identities are whole, %d bytes; they were not opened, as no key was given",
			n),
	})
}

// ask runs the operator's questions.
func (j Job) ask(ctx context.Context, place Place, set holdfast.Set, r *Report) error {
	for _, name := range slices.Sorted(maps.Keys(j.Checks)) {
		if _, ok := set.Part(name); !ok {
			r.say(questions, holdfast.Finding{
				Verdict:  holdfast.CannotTell,
				Evidence: fmt.Sprintf("the set has no component %s to ask", name),
			})
			continue
		}
		for _, sql := range j.Checks[name] {
			f, err := place.Ask(ctx, name, sql)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				f = holdfast.Finding{Verdict: holdfast.CannotTell, Evidence: err.Error()}
			}
			f.Evidence = fmt.Sprintf("%s: %s: %s", name, strings.Join(strings.Fields(sql), " "), f.Evidence)
			r.say(questions, f)
		}
	}
	return nil
}

func tables(list []Component) string {
	n := 0
	for _, c := range list {
		n += c.Tables
	}
	return fmt.Sprintf("%d tables of %d databases", n, len(list))
}

func rows(list []Component) (n int64) {
	for _, c := range list {
		n += c.Rows
	}
	return n
}
