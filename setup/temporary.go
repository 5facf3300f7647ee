package setup

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"holdfast"
	"holdfast/capture/instances"
	"holdfast/capture/snapshot"
	"holdfast/cost"
	"holdfast/drill"
	"holdfast/sandbox"
)

// temporaryDrill is a drill of sets of snapshots: of each an instance is made, read
// and deleted.
func (p *Parts) temporaryDrill(
	ctx context.Context, set holdfast.Set, f DrillOptions,
) (drill.Job, instances.Target, error) {
	none := func(err error) (drill.Job, instances.Target, error) { return drill.Job{}, instances.Target{}, err }
	for _, no := range []struct {
		given bool
		what  string
	}{
		{f.Boot, "--boot"}, {f.Server != "", "--server"}, {f.Locale != "", "--locale"}, {len(f.Without) > 0, "--without"},
	} {
		if no.given {
			return none(Usage(fmt.Errorf("%s: the set is of a provider's snapshots, which come "+
				"back as instances of the provider; leave it out", no.what)))
		}
	}
	d, err := p.target(ctx, RestoreOptions{})
	if err != nil {
		return none(err)
	}
	made, err := p.instances(ctx, d)
	if err != nil {
		return none(err)
	}
	made.Until = time.Now().Add(instances.Lifetime)
	list, err := made.Temporaries(ctx, set)
	if err != nil {
		return none(err)
	}
	prices, err := p.Config.Prices()
	if err != nil {
		return none(err)
	}
	job := p.drillOn(temporaryHost{made, list, prices}, f)
	job.Within = instances.Lifetime - timeToDelete
	job.Lock = func(ctx context.Context) (func(context.Context) error, func(), error) {
		return made.Lock(ctx, false)
	}
	return job, made, nil
}

// timeToDelete is how long before their time temporary instances are deleted at the latest.
const timeToDelete = time.Hour

// temporaryHost makes instances of snapshots, for a drill or to lift their rows. It
// implements drill.Host.
type temporaryHost struct {
	made   instances.Target
	list   []instances.Temporary
	prices cost.Prices
}

// Clean implements drill.Host. Whoever is here has the lock, so nobody uses them.
func (h temporaryHost) Clean(ctx context.Context) ([]string, error) {
	return h.made.Sweep(ctx, func(time.Time) bool { return true })
}

// What implements drill.Host.
func (temporaryHost) What() string {
	return "the snapshots, by their provider"
}

// Room implements drill.Host: nothing of this machine is used. It says what costs
// money instead.
func (h temporaryHost) Room(context.Context, int64) (holdfast.Finding, error) {
	var list []string
	for _, t := range h.list {
		list = append(list, t.String())
	}
	number := fmt.Sprintf("1 %s is made, read and deleted", snapshot.What(len(list) == 1 && h.list[0].Cluster))
	if len(list) > 1 {
		number = fmt.Sprintf("%d servers are made, read and deleted", len(list))
	}
	return holdfast.Finding{
		Verdict: holdfast.NoneApplies,
		Evidence: fmt.Sprintf("%s: %s. The provider charges for the class by the hour and for the storage, "+
			"from the request to the deletion, %v later at most.%s", number, strings.Join(list, "; "), instances.Lifetime,
			h.costs()),
	}, nil
}

// costs says what the instances cost, as far as the configuration has prices.
func (h temporaryHost) costs() string {
	during := func(d time.Duration) (out cost.Usage) {
		for _, t := range h.list {
			out = out.Plus(charged(t, d))
		}
		return out
	}
	hour, most := h.prices.Of(during(time.Hour)), h.prices.Of(during(instances.Lifetime))
	if hour.Amount == 0 {
		return ""
	}
	without := ""
	if len(hour.Unknown) > 0 {
		without = ", without " + strings.Join(hour.Unknown, " and ") + ", whose price is unknown"
	}
	return fmt.Sprintf(" An hour costs %.2f and a day %.2f %s%s.", hour.Amount, most.Amount, hour.Currency, without)
}

// charged is what one of them is charged for that is there for so long.
func charged(t instances.Temporary, there time.Duration) (out cost.Usage) {
	one := cost.Instance(t.Class, float64(t.Bytes>>30), there)
	for range max(t.Members, 1) {
		out = out.Plus(one)
	}
	if t.Units > 0 {
		out.Hours[t.Class] *= t.Units
	}
	if t.Grows {
		out.Storage, out.Volumes = 0, one.Storage
	}
	return out
}

// Open implements drill.Host.
func (h temporaryHost) Open(ctx context.Context, set holdfast.Set) (drill.Place, error) {
	p := temporaries{Target: h.made, set: set.ID, list: h.list}
	if err := h.made.Request(ctx, set); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// temporaries are the instances of one set. They implement drill.Place.
type temporaries struct {
	instances.Target
	set  holdfast.SetID
	list []instances.Temporary
}

// Lock implements restore.Databases: the drill has the lock.
func (temporaries) Lock(context.Context, bool) (func(context.Context) error, func(), error) {
	return func(context.Context) error { return nil }, func() {}, nil
}

// Isolation implements drill.Place.
func (t temporaries) Isolation() holdfast.Finding {
	var like []string
	for _, l := range t.list {
		like = append(like, l.Like)
	}
	return holdfast.Finding{
		Verdict: holdfast.NoneApplies,
		Evidence: "not judged: each is a server of the provider with the subnets and security groups of " +
			strings.Join(like, ", ") + ", and is not public",
	}
}

// Server implements drill.Place.
func (t temporaries) Server() string {
	var out []string
	for _, l := range t.list {
		out = append(out, l.String())
	}
	return strings.Join(out, "; ")
}

// Facts implements drill.Place.
func (t temporaries) Facts(ctx context.Context, c holdfast.ComponentName) (holdfast.Facts, error) {
	live, err := t.On(ctx, t.set, c)
	if err != nil {
		return holdfast.Facts{}, err
	}
	for _, m := range t.Members {
		if m.Component.Name == c {
			read, err := live.Read(ctx, m.Component)
			return read.Facts, err
		}
	}
	return holdfast.Facts{}, fmt.Errorf("no component %s", c)
}

// Ask implements drill.Place.
func (t temporaries) Ask(ctx context.Context, c holdfast.ComponentName, sql string) (holdfast.Finding, error) {
	live, err := t.On(ctx, t.set, c)
	if err != nil {
		return holdfast.Finding{}, err
	}
	return sandbox.Ask(ctx, live.Address, sql)
}

// Close implements drill.Place. It is not ended with the drill: an instance that was
// requested costs until it is deleted.
func (t temporaries) Close() error {
	ctx, cancel := context.WithDeadline(context.Background(), t.Until.Add(timeToDelete))
	defer cancel()
	_, err := t.Sweep(ctx, func(time.Time) bool { return true })
	return err
}

var _ drill.Place = temporaries{}
