package instances

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/capture/snapshot"
	"holdfast/content"
	"holdfast/target"
)

// tries is how often a request is repeated whose answer was lost.
const tries = 5

// Making is the event of a server that is waited for.
type Making struct{ Server, State string }

func (m Making) String() string { return m.Server + ": " + m.State }

// Build makes the server that d.New names, or goes on with the one that an
// earlier run has requested, and proves the component's database on it.
func (t Target) Build(
	ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part, _ holdfast.Files,
) error {
	ref, err := t.reference(c)
	if err != nil {
		return err
	}
	b := t.building(set, d, ref)
	var found made
	if err := t.until(ctx, d.New+" was not made", func(list []snapshot.Server) (done bool, err error) {
		found, done, err = b.further(ctx, list)
		return done, err
	}); err != nil {
		return err
	}
	if err := t.prove(ctx, found, c); err != nil || t.Swap || !t.Protect || t.purpose() == temporary {
		return err
	}
	return b.protect(ctx)
}

func (t Target) building(set holdfast.SetID, d target.Database, ref content.Reference) building {
	return building{Target: t, ref: ref, want: made{set: set, from: ref.ID, of: d.Instance}, name: d.New}
}

// protect protects a server that is to stay under its name.
func (b *building) protect(ctx context.Context) error {
	asked := 0
	return b.until(ctx, b.name+" was not protected from deletion", func(list []snapshot.Server) (bool, error) {
		there, exists := named(list, b.name)
		if !exists || there.Protected || !b.shape(list).Protected {
			return true, nil
		}
		asked++
		return false, again(ctx, b.Provider.Protect(ctx, there, true), asked)
	})
}

// shape is how the new server is set up: as the live one is or, where that is gone or
// cannot be copied, as the set recorded it.
func (b *building) shape(list []snapshot.Server) content.Shape {
	live, _ := named(list, b.want.of)
	out := live.Shape
	if was := b.ref.Shape; was != nil && (out.Class == "" || (was.Cluster != nil) != live.Cluster) {
		out = *was
	}
	if b.purpose() == temporary {
		return forOnce(out)
	}
	return out
}

// forOnce is the shape of a temporary server: like the other one for whoever connects to
// it, open to no more than those, and without what outlives it or costs more.
func forOnce(s content.Shape) content.Shape {
	s.Public, s.MultiAZ, s.Protected, s.CopiesTags, s.Retention, s.Logs = false, false, false, false, 0, nil
	return s
}

// Reuse does the same: what an earlier run has made is looked at again.
func (t Target) Reuse(ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part) error {
	return t.Build(ctx, set, d, c, nil)
}

// building is one server that is being made.
type building struct {
	Target
	ref   content.Reference
	want  made
	name  string
	asked int
	state string
}

// further does what can be done now. It is all the same who requested the
// server: this run, one that was killed, or a request whose answer was lost.
func (b *building) further(ctx context.Context, list []snapshot.Server) (made, bool, error) {
	there, exists := named(list, b.name)
	if !exists {
		return made{}, false, b.request(ctx, list)
	}
	if there.State == deleting { // its name is free when it is gone
		return made{}, false, nil
	}
	found, ours := b.read(there)
	live, lives := named(list, b.want.of)
	switch {
	case !ours || found.set != b.want.set || found.from != b.want.from || found.of != b.want.of:
		return made{}, false, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("%s is there and was not made of snapshot %s", there, b.want.from),
			Why: "What it has is unknown.", Do: "Find out who made it. Rename it or delete it, then run the command again.",
		}
	case b.purpose() == toStay && !found.inPlace() && lives && found.was != live.Resource:
		return made{}, false, &holdfast.Problem{
			Class: holdfast.Refused,
			What: fmt.Sprintf("%s was made while another %s had the name %s", there, snapshot.What(live.Cluster),
				b.want.of),
			Why: "It may have been used meanwhile, and is set up as that one was.",
			Do:  fmt.Sprintf("Remove it: `holdfast restore clean %s`, then run the command again.", b.name),
		}
	}
	if found.State != b.state {
		b.state = found.State
		b.Options.Events.Report(Making{found.String(), b.state})
	}
	if broken(found.State) {
		p := &holdfast.Problem{
			Class: holdfast.Failed, What: fmt.Sprintf("%s is %s: the provider gave it up", found, found.State),
			Why: "What is live is as it was.",
			Do: fmt.Sprintf("Look at its events in the provider's console. Then: `holdfast restore clean %s`, and run the "+
				"command again.", b.name),
		}
		if b.purpose() == temporary {
			p.Do = "Look at its events in the provider's console, and run the command again: it makes another one."
		}
		return made{}, false, p
	}
	if found.Bare {
		return made{}, false, b.populate(ctx, list, found)
	}
	return found, found.Takes, nil
}

// broken reports whether a server in that state never becomes ready.
func broken(state string) bool {
	return state == "failed" || strings.HasSuffix(state, "-failed") || strings.HasPrefix(state, "incompatible-") ||
		strings.HasPrefix(state, "inaccessible-encryption-credentials") || state == "insufficient-capacity"
}

func (b *building) request(ctx context.Context, list []snapshot.Server) error {
	from, err := b.Provider.Snapshot(ctx, b.ref.ID)
	if err != nil {
		return err
	}
	live, _ := named(list, b.want.of)
	shape := b.shape(list)
	if from.Cluster && (shape.Class == "" || shape.Cluster == nil) {
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("how cluster %s is set up is not known: it is not there, and the set does not say", b.want.of),
			Why:   "Without the class of its members none can be made.",
			Do:    "Choose another set: `holdfast list --state proven`; or restore it with the provider's tools: docs/cloud.md.",
		}
	}
	b.asked++
	b.want.was, b.want.at = live.Resource, time.Now()
	return b.requested(ctx, b.Provider.Restore(ctx, b.name, from, shape, b.labels(b.want, shape)))
}

// populate requests the member that a cluster is served by. Its name follows from the
// cluster itself: another cluster may have had the name meanwhile.
func (b *building) populate(ctx context.Context, list []snapshot.Server, cluster made) error {
	shape := b.shape(list)
	b.asked++
	name := b.purpose().name(cluster.set, digest(cluster.Resource))
	err := b.Provider.Populate(ctx, cluster.Server, name, shape, b.labels(cluster, shape))
	if errors.Is(err, snapshot.ErrNone) { // somebody has deleted the cluster
		return ctx.Err()
	}
	return b.requested(ctx, err)
}

// requested leaves out of an error what is no reason not to look again: the next look
// finds what was requested, or requests it again.
func (b *building) requested(ctx context.Context, err error) error {
	lost := holdfast.ClassOf(err) == holdfast.Unreachable && b.asked < tries
	if lost || errors.Is(err, snapshot.ErrExists) || errors.Is(err, snapshot.ErrBusy) {
		return ctx.Err()
	}
	return err
}

// until repeats a look at the account until it is done.
func (t Target) until(
	ctx context.Context, otherwise string, look func([]snapshot.Server) (done bool, err error),
) error {
	o := t.Options
	if o.Poll <= 0 {
		o.Poll = 15 * time.Second
	}
	if o.Within <= 0 {
		o.Within = 6 * time.Hour
	}
	deadline := time.Now().Add(o.Within)
	for {
		list, err := t.Provider.Servers(ctx)
		if err != nil {
			return err
		}
		if done, err := look(list); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return &holdfast.Problem{
				Class: holdfast.Failed, What: fmt.Sprintf("%s within %v", otherwise, o.Within),
				Why: "The provider has not said that it failed.",
				Do:  "Look at its events in the provider's console. To go on, run the same command again.",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Poll):
		}
	}
}

// prove reads the database on the new instance: what it says about itself lies
// between the readings that were made around the snapshot.
func (t Target) prove(ctx context.Context, on made, c holdfast.Part) error {
	m, err := t.member(c.Component)
	if err != nil {
		return err
	}
	for n := 1; ; n++ { // an instance that has just been made may be known by name a moment later
		found, err := m.Live.Through(ctx, m.Component, on.Host, on.Port)
		if err == nil {
			if err := t.judge(on, c, found); err != nil {
				return otherwise(on, err)
			}
			return nil
		}
		if holdfast.ClassOf(err) != holdfast.Unreachable || n == tries {
			if t.purpose() == temporary {
				return unread(on, c.Component, err)
			}
			return &holdfast.Problem{
				Class: holdfast.ClassOf(err), What: fmt.Sprintf("%s cannot be read on %s, at %s:%d", c.Component, on, on.Host, on.Port), Err: err,
				Why: "Without that nothing proves that it has the set's databases. It is kept.",
				Do:  "Make its address reachable from here, then run the same command again: it goes on with it.",
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(t.Options.Poll, time.Second)):
		}
	}
}

// judge holds what a new server says of itself against what the set recorded. Of a
// temporary instance the server's identifier has to be the same as well: a restore is not
// refused for it, because no provider promises it. Of a cluster nobody has tried it.
func (t Target) judge(on made, c holdfast.Part, found postgres.LiveReading) error {
	asked := t.purpose() == temporary && !on.Cluster
	if was, is := c.Server.SystemID, found.Server.SystemID; asked && was != "" && is != "" && was != is {
		return fmt.Errorf("%s: the system identifier of its server is %s, and was %s when the snapshot was taken",
			c.Component, is, was)
	}
	return snapshot.Within(c.Captured, found.Facts)
}

func unread(on made, c holdfast.ComponentName, err error) error {
	return &holdfast.Problem{
		Class: holdfast.ClassOf(err), Err: err,
		What: fmt.Sprintf("%s cannot be read on %s, at %s:%d", c, on, on.Host, on.Port),
		Why: fmt.Sprintf("Without that nothing proves that the snapshot has the set's databases. The %s is removed again.",
			snapshot.What(on.Cluster)),
		Do: fmt.Sprintf("Make the addresses of servers with these subnets and security groups reachable from here: the %s "+
			"is not public.", snapshot.What(on.Cluster)),
	}
}

func otherwise(on made, err error) error {
	return &holdfast.Problem{
		Class: holdfast.NotProven, What: fmt.Sprintf("%s does not have what the set recorded", on), Err: err,
		Why: "Its snapshot is of another moment or of another database. What is live is as it was.",
		Do:  "Choose another set: `holdfast list --state proven`. Tell the provider.",
	}
}
