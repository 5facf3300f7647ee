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

// Making is the event of an instance that is waited for.
type Making struct{ Instance, State string }

func (m Making) String() string { return fmt.Sprintf("instance %s: %s", m.Instance, m.State) }

// Build makes the instance that d.New names, or goes on with the one that an
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
	if err := t.until(ctx, "instance "+d.New+" was not made", func(list []snapshot.Server) (done bool, err error) {
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

// protect protects an instance that is to stay under its name.
func (b *building) protect(ctx context.Context) error {
	asked := 0
	return b.until(ctx, "instance "+b.name+" was not protected from deletion", func(list []snapshot.Server) (bool, error) {
		there, exists := named(list, b.name)
		if !exists || there.Protected || !b.shape(list).Protected {
			return true, nil
		}
		asked++
		return false, again(ctx, b.Provider.Protect(ctx, b.name, true), asked)
	})
}

// shape is how the new instance is set up: as the live one is or, where that is
// gone, as the set recorded it.
func (b *building) shape(list []snapshot.Server) content.Shape {
	out := content.Shape{}
	live, lives := named(list, b.want.of)
	switch {
	case lives:
		out = live.Shape
	case b.ref.Shape != nil:
		out = *b.ref.Shape
	}
	if b.purpose() == temporary {
		return forOnce(out)
	}
	return out
}

// forOnce is the shape of a temporary instance: like the other one for whoever connects to
// it, open to no more than those, and without what outlives it or costs more.
func forOnce(s content.Shape) content.Shape {
	s.Public, s.MultiAZ, s.Protected, s.CopiesTags, s.Retention, s.Logs = false, false, false, false, 0, nil
	return s
}

// Reuse does the same: what an earlier run has made is looked at again.
func (t Target) Reuse(ctx context.Context, set holdfast.SetID, d target.Database, c holdfast.Part) error {
	return t.Build(ctx, set, d, c, nil)
}

// building is one instance that is being made.
type building struct {
	Target
	ref   content.Reference
	want  made
	name  string
	asked int
	state string
}

// further does what can be done now. It is all the same who requested the
// instance: this run, one that was killed, or a request whose answer was lost.
func (b *building) further(ctx context.Context, list []snapshot.Server) (made, bool, error) {
	there, exists := named(list, b.name)
	if !exists {
		return made{}, false, b.request(ctx, list)
	}
	found, ours := b.read(there)
	live, lives := named(list, b.want.of)
	switch {
	case !ours || found.set != b.want.set || found.from != b.want.from || found.of != b.want.of:
		return made{}, false, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("instance %s is there and was not made of snapshot %s", b.name, b.want.from),
			Why: "What it has is unknown.", Do: "Find out who made it. Rename it or delete it, then run the command again.",
		}
	case b.purpose() == toStay && !found.inPlace() && lives && found.was != live.Resource:
		return made{}, false, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("instance %s was made while another instance had the name %s", b.name, b.want.of),
			Why:   "It may have been used meanwhile, and is set up as that one was.",
			Do:    fmt.Sprintf("Remove it: `holdfast restore clean %s`, then run the command again.", b.name),
		}
	}
	if found.State != b.state {
		b.state = found.State
		b.Options.Events.Report(Making{b.name, b.state})
	}
	if broken(found.State) {
		p := &holdfast.Problem{
			Class: holdfast.Failed, What: fmt.Sprintf("instance %s is %s: the provider gave it up", b.name, found.State),
			Why: "The live instance is as it was.",
			Do: fmt.Sprintf("Look at its events in the provider's console. Then: `holdfast restore clean %s`, and run the "+
				"command again.", b.name),
		}
		if b.purpose() == temporary {
			p.Do = "Look at its events in the provider's console, and run the command again: it makes another one."
		}
		return made{}, false, p
	}
	return found, found.Takes, nil
}

// broken reports whether an instance in that state never becomes ready.
func broken(state string) bool {
	return state == "failed" || strings.HasPrefix(state, "incompatible-") ||
		strings.HasPrefix(state, "inaccessible-encryption-credentials") || state == "insufficient-capacity"
}

func (b *building) request(ctx context.Context, list []snapshot.Server) error {
	live, _ := named(list, b.want.of)
	shape := b.shape(list)
	b.asked++
	b.want.was, b.want.at = live.Resource, time.Now()
	err := b.Provider.Restore(ctx, b.name, b.ref.ID, shape, b.labels(b.want, shape))
	lost := holdfast.ClassOf(err) == holdfast.Unreachable && b.asked < tries
	if lost || errors.Is(err, snapshot.ErrExists) || errors.Is(err, snapshot.ErrBusy) {
		return ctx.Err() // the next look finds it, or requests it again
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
		list, err := t.Provider.Instances(ctx)
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
				Do:  "Look at the instance's events in the provider's console. To go on, run the same command again.",
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
			if err := t.judge(c, found); err != nil {
				return otherwise(on, err)
			}
			return nil
		}
		if holdfast.ClassOf(err) != holdfast.Unreachable || n == tries {
			if t.purpose() == temporary {
				return unread(on, c.Component, err)
			}
			return &holdfast.Problem{
				Class: holdfast.ClassOf(err), What: fmt.Sprintf("%s cannot be read on instance %s, at %s:%d", c.Component,
					on.Name, on.Host, on.Port), Err: err,
				Why: "Without that nothing proves that the instance has the set's databases. It is kept.",
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

// judge holds what a new instance says of itself against what the set recorded. Of
// a temporary instance the server's identifier has to be the same as well: a restore is not
// refused for it, because no provider promises it.
func (t Target) judge(c holdfast.Part, found postgres.LiveReading) error {
	if was, is := c.Server.SystemID, found.Server.SystemID; t.purpose() == temporary && was != "" && is != "" && was != is {
		return fmt.Errorf("%s: the system identifier of its server is %s, and was %s when the snapshot was taken",
			c.Component, is, was)
	}
	return snapshot.Within(c.Captured, found.Facts)
}

func unread(on made, c holdfast.ComponentName, err error) error {
	return &holdfast.Problem{
		Class: holdfast.ClassOf(err), Err: err,
		What: fmt.Sprintf("%s cannot be read on instance %s, at %s:%d", c, on.Name, on.Host, on.Port),
		Why:  "Without that nothing proves that the snapshot has the set's databases. The instance is removed again.",
		Do: "Make the addresses of instances with these subnets and security groups reachable from here: the " +
			"instance is not public.",
	}
}

func otherwise(on made, err error) error {
	return &holdfast.Problem{
		Class: holdfast.NotProven, What: fmt.Sprintf("instance %s does not have what the set recorded", on.Name), Err: err,
		Why: "Its snapshot is of another moment or of another database. The live instance is as it was.",
		Do:  "Choose another set: `holdfast list --state proven`. Tell the provider.",
	}
}
