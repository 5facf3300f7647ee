package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/content"
	"holdfast/event"
	"holdfast/observed"
)

// Source is a server whose keeper takes snapshots of it, with the components
// whose databases it has.
type Source struct {
	Keeper  Keeper
	Node    holdfast.NodeName
	Members []Member
	Options Options
}

// Member is a component on the server.
type Member struct {
	Component holdfast.Component
	Live      postgres.Live
}

// Options bound the waiting. The zero value is usable.
type Options struct {
	Poll   time.Duration // between two questions to the keeper; 0 means 15 s
	Await  time.Duration // for a server that takes no request, such as one in maintenance; 0 means 30 min
	Within time.Duration // for a snapshot to become ready; 0 means 6 h
	Events event.Listener
}

func (o Options) complete() Options {
	def := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.Poll, 15*time.Second)
	def(&o.Await, 30*time.Minute)
	def(&o.Within, 6*time.Hour)
	return o
}

// Look says what a component's database holds, and refuses what could not be
// captured now: a server of which the keeper knows nothing, an account that is full.
func (s Source) Look(ctx context.Context, c holdfast.Component) (observed.Outlook, error) {
	member, ok := s.member(c.Name)
	if !ok {
		return observed.Outlook{}, fmt.Errorf("component %s is not on this server", c.Name)
	}
	out, err := member.Live.Look(ctx, c)
	if err != nil {
		return out, err
	}
	server, err := s.Keeper.Server(ctx)
	if err != nil {
		return out, err
	}
	return out, s.room(ctx, server)
}

func (s Source) member(name holdfast.ComponentName) (Member, bool) {
	at := slices.IndexFunc(s.Members, func(m Member) bool { return m.Component.Name == name })
	if at < 0 {
		return Member{}, false
	}
	return s.Members[at], true
}

// Capture takes one snapshot for all members. Nothing is put into the set's files.
func (s Source) Capture(
	ctx context.Context, _ holdfast.Component, clock holdfast.Clock, _ holdfast.Sink, earlier holdfast.Earlier,
) (holdfast.Capture, error) {
	if !earlier.For.Valid() {
		return holdfast.Capture{}, fmt.Errorf("a snapshot needs the set it is taken for, not %q", earlier.For)
	}
	s.Options = s.Options.complete()
	r := &run{Source: s, set: earlier.For, clock: clock, began: clock()}
	for _, step := range []func(context.Context) error{
		r.identify, r.await, r.readBefore, r.request, r.watch, r.readAfter, r.stillThere, r.listen,
	} {
		if err := step(ctx); err != nil {
			return holdfast.Capture{}, err
		}
	}
	return r.capture(), nil
}

// run is one capture.
type run struct {
	Source
	set   holdfast.SetID
	clock holdfast.Clock

	server              Server
	name                string
	floor               []postgres.LiveReading // read first, to see whether anything is committed meanwhile
	before, after       []postgres.LiveReading
	began, asked, ready holdfast.Moment
	earliest, latest    time.Time // our wall, just before floor and just after ready
	adopted             bool
	taken               Snapshot
	evidence            []content.Evidence
	doubts              []string
}

// identify makes sure that the databases are on the server that the keeper
// snapshots: a snapshot of another one has everything but them.
func (r *run) identify(ctx context.Context) (err error) {
	if r.server, err = r.Keeper.Server(ctx); err != nil {
		return err
	}
	r.name = Name(r.set, r.server.Name)
	r.earliest = time.Now()
	if r.floor, err = r.read(ctx); err != nil {
		return err
	}
	first := r.floor[0]
	for i, m := range r.Members {
		if got := r.floor[i]; got.Server.SystemID != first.Server.SystemID || !got.Server.Started.Equal(first.Server.Started) {
			return &holdfast.Problem{
				Class: holdfast.Usage,
				What:  fmt.Sprintf("%s and %s are not on one server", r.Members[0].Live.Where(), m.Live.Where()),
				Why:   fmt.Sprintf("One snapshot of %s does not have both.", r.server.Name),
				Do:    "Name the instance of each database in holdfast.yaml: databases.NAME.rds.instance.",
			}
		}
	}
	return r.published(ctx)
}

// published compares the configured way to a database with the one that the
// keeper publishes. A failover between the two readings looks like another server,
// so what differs is read again.
func (r *run) published(ctx context.Context) error {
	m := r.Members[0]
	there, err := m.Live.Through(ctx, m.Component, r.server.Host, r.server.Port)
	if err != nil {
		return &holdfast.Problem{
			Class: holdfast.ClassOf(err),
			What:  fmt.Sprintf("%s %s is not reached at %s:%d", r.server.Kind, r.server.Name, r.server.Host, r.server.Port),
			Err:   err,
			Why:   "Without that it is unknown whether the snapshot is of the databases that are configured.",
			Do:    "Make the instance's own address reachable from here, with the certificates that the connection asks for.",
		}
	}
	if there.Instance == r.floor[0].Instance && there.Server.SystemID == r.floor[0].Server.SystemID {
		r.note(content.LiveDatabase, fmt.Sprintf("%s:%d leads to the databases that were read", r.server.Host, r.server.Port),
			time.Time{})
		return nil
	}
	again, err := m.Live.Read(ctx, m.Component)
	if err != nil {
		return err
	}
	if there.Instance == again.Instance && there.Server.SystemID == again.Server.SystemID {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What: fmt.Sprintf("%s is not on %s %s: its address leads to another server", m.Live.Where(), r.server.Kind,
			r.server.Name),
		Why: "The snapshot would be of other databases.",
		Do:  "Correct the connection or the instance of this database in holdfast.yaml.",
	}
}

func (r *run) read(ctx context.Context) ([]postgres.LiveReading, error) {
	out := make([]postgres.LiveReading, len(r.Members))
	for i, m := range r.Members {
		var err error
		if out[i], err = m.Live.Read(ctx, m.Component); err != nil {
			return nil, err
		}
		if out[i].Server.Standby {
			return nil, &holdfast.Problem{
				Class: holdfast.Refused,
				What:  m.Live.Where() + " is a standby",
				Why:   "It may be behind what the snapshot has, and then says nothing of it.",
				Do:    "Connect to the primary: the writer endpoint of a cluster.",
			}
		}
	}
	return out, nil
}

// await waits until the server takes requests, and makes sure of the room.
func (r *run) await(ctx context.Context) error {
	if r.server.Pauses != "" {
		r.Options.Events.Report(Pausing{r.server.Name, r.server.Pauses})
	}
	if err := r.takes(ctx); err != nil {
		return err
	}
	return r.room(ctx, r.server)
}

func (r *run) takes(ctx context.Context) error {
	deadline := time.Now().Add(r.Options.Await)
	for last := ""; !r.server.Takes; {
		if r.server.State != last {
			last = r.server.State
			r.Options.Events.Report(Waiting{r.server.Name, last})
		}
		if time.Now().After(deadline) {
			return &holdfast.Problem{
				Class: holdfast.Busy,
				What: fmt.Sprintf("%s %s took no snapshot for %v: it is %s", r.server.Kind, r.server.Name, r.Options.Await,
					r.server.State),
				Why: "Maintenance, a change or an automated backup goes on. This set was not taken.",
				Do:  "Look at the instance in the provider's console; when it is available: `holdfast backup`.",
			}
		}
		if err := r.pause(ctx); err != nil {
			return err
		}
		next, err := r.Keeper.Server(ctx)
		if err != nil {
			return err
		}
		if next.Resource != r.server.Resource {
			return replaced(r.server)
		}
		r.server = next
	}
	return nil
}

func replaced(s Server) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("%s %s is another one than when the backup began", s.Kind, s.Name),
		Why:   "Somebody deleted or renamed it. The snapshot may be of other databases.",
		Do:    "Check which instance has the node's databases, then: `holdfast backup`.",
	}
}

func (s Source) room(ctx context.Context, server Server) error {
	room, err := s.Keeper.Room(ctx)
	if err != nil || room.Left() > 0 {
		return err
	}
	return full(server, room)
}

func full(server Server, room Room) error {
	return &holdfast.Problem{
		Class: holdfast.NoSpace,
		What:  fmt.Sprintf("%s: the account has %d of %d manual snapshots", server.Keeper, room.Used, room.Most),
		Why:   "The provider takes no more. No set was taken.",
		Do:    "Keep fewer sets: `holdfast retention`; or delete snapshots of others, or raise the provider's quota.",
	}
}

func (r *run) readBefore(ctx context.Context) (err error) {
	r.before, err = r.read(ctx)
	return err
}

// request asks for the snapshot. The name is this run's alone, so one that is
// there was requested by this run, and its answer was lost.
func (r *run) request(ctx context.Context) error {
	r.asked = r.clock()
	var last error
	for range 5 {
		err := r.Keeper.Request(ctx, r.name, Labels(r.Node, r.set, r.server.Name))
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			r.Options.Events.Report(Requested{Snapshot: r.name})
			return nil
		case errors.Is(err, ErrBusy): // it was available a moment ago
			if r.server, last = r.busy(ctx); last != nil {
				return last
			}
			last = err
			if err := r.takes(ctx); err != nil {
				return err
			}
			continue
		}
		found, looked := r.Keeper.Describe(ctx, r.name)
		node, set, ours := found.Owner()
		switch {
		case looked == nil && ours && node == r.Node && set == r.set:
			r.adopted = true
			r.Options.Events.Report(Requested{Snapshot: r.name, Adopted: true})
			return nil
		case looked == nil:
			return &holdfast.Problem{
				Class: holdfast.Refused,
				What:  fmt.Sprintf("snapshot %s is there and was not made by this run", r.name),
				Why:   "What it has is unknown.",
				Do:    "Find out who made it. The next backup takes another name.",
			}
		case !errors.Is(looked, ErrNone) || holdfast.ClassOf(err) != holdfast.Unreachable:
			return err
		}
		last = err
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
	return last
}

// busy is the server after it refused a request although it looked available.
func (r *run) busy(ctx context.Context) (Server, error) {
	if err := r.pause(ctx); err != nil {
		return r.server, err
	}
	return r.Keeper.Server(ctx)
}

// watch waits until the snapshot is ready.
func (r *run) watch(ctx context.Context) error {
	deadline := time.Now().Add(r.Options.Within)
	for {
		var err error
		if r.taken, err = r.Keeper.Describe(ctx, r.name); err != nil {
			return r.lost(err)
		}
		r.Options.Events.Report(Taking{r.name, r.taken.State, r.taken.Percent})
		switch {
		case r.taken.Phase == Broken:
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What:  fmt.Sprintf("snapshot %s is %s: the provider gave it up", r.name, r.taken.State),
				Do:    "Look at the instance's events in the provider's console, then: `holdfast backup`.",
			}
		case r.taken.Phase == Ready && r.taken.Percent >= 100:
			r.ready, r.latest = r.clock(), time.Now()
			return nil
		case time.Now().After(deadline):
			return &holdfast.Problem{
				Class: holdfast.Failed,
				What: fmt.Sprintf("snapshot %s was not ready after %v: %s, %d %%", r.name, r.Options.Within, r.taken.State,
					r.taken.Percent),
				Why: "The set was given up. The snapshot is swept later.",
				Do:  "Look at the instance's events in the provider's console, then: `holdfast backup`.",
			}
		}
		if err := r.pause(ctx); err != nil {
			return err
		}
	}
}

func (r *run) lost(err error) error {
	if !errors.Is(err, ErrNone) {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("snapshot %s vanished", r.name),
		Why:   "Somebody deleted it, or the provider did. There is nothing to refer to.",
		Do:    "Find out who may delete snapshots in this account, then: `holdfast backup`.",
	}
}

func (r *run) readAfter(ctx context.Context) (err error) {
	r.after, err = r.read(ctx)
	return err
}

// stillThere looks at the snapshot and the server again, as late as possible.
func (r *run) stillThere(ctx context.Context) error {
	found, err := r.Keeper.Describe(ctx, r.name)
	if err != nil {
		return r.lost(err)
	}
	server, err := r.Keeper.Server(ctx)
	if err != nil {
		return err
	}
	if server.Resource != r.server.Resource {
		return replaced(r.server)
	}
	node, set, ours := found.Owner()
	if found.Phase != Ready || !ours || node != r.Node || set != r.set {
		return &holdfast.Problem{
			Class: holdfast.Failed,
			What:  fmt.Sprintf("snapshot %s was ready and is %s now, or lost its labels", r.name, found.State),
			Why:   "It cannot be relied on.",
			Do:    "Find out who changes snapshots in this account, then: `holdfast backup`.",
		}
	}
	r.taken = found
	return nil
}

func (r *run) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(r.Options.Poll):
		return nil
	}
}

func (r *run) note(from content.Witness, what string, at time.Time) {
	r.evidence = append(r.evidence, content.Evidence{From: from, What: what, At: at})
}

func (r *run) capture() holdfast.Capture {
	r.note(content.OurClock, "the snapshot was requested after this", r.asked.Wall)
	r.note(content.OurClock, "the snapshot was first seen ready", r.ready.Wall)
	if r.adopted {
		r.note(content.OurClock, "an answer was lost; the snapshot was recognised by its name and labels", time.Time{})
	}
	reference := content.Reference{
		Keeper: r.server.Keeper, ID: r.name, Source: r.server.Name, Resource: r.server.Resource, Evidence: r.evidence,
	}
	if r.server.Shape.Class != "" {
		reference.Shape = &r.server.Shape
	}
	out := holdfast.Capture{
		Method: holdfast.Snapshot,
		Began:  r.began, Consistent: r.ready, Ended: r.clock(),
		Server:  r.after[0].Server,
		Doubts:  r.doubts,
		Content: reference,
	}
	for i, m := range r.Members {
		before := r.before[i].Reading
		out.Components = append(out.Components, holdfast.Captured{
			Component: m.Component.Name, Kind: m.Component.Kind, Database: r.after[i].Database,
			Facts: r.after[i].Facts, Before: &before,
		})
	}
	return out
}

// members names the components, for people.
func (s Source) members() string {
	names := make([]string, len(s.Members))
	for i, m := range s.Members {
		names[i] = string(m.Component.Name)
	}
	return strings.Join(names, " and ")
}
