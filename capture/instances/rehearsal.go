package instances

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// Account is a provider that also makes instances of nothing, and says which
// snapshots somebody requested, of whatever server.
type Account interface {
	Provider
	// Create requests an empty instance, and does not wait for it. snapshot.ErrExists
	// says that one of that name is there.
	Create(ctx context.Context, name string, n New, labels map[string]string) error
	// Snapshots are those that somebody requested, ours and others.
	Snapshots(ctx context.Context) ([]snapshot.Snapshot, error)
	// DeleteSnapshot deletes one. One that is gone is no error; snapshot.ErrBusy says
	// that it cannot be deleted yet.
	DeleteSnapshot(ctx context.Context, name string) error
}

// New is an empty instance. What is "" the provider chooses.
type New struct {
	Class          string
	GB             int
	Version        string // of Postgres
	Subnets        string // name of a group
	SecurityGroups []string
	Certificate    string // name of the authority
	User           string
	Password       holdfast.Secret
}

// Rehearsal is an instance that is made to be lost, with all that is made of it: its
// snapshots, and the temporary instances of those. All of it has names that end in
// the instance's, and labels, by which what a killed rehearsal left is found.
type Rehearsal struct {
	Account Account
	Node    holdfast.NodeName // the operator's
	Name    string            // of the instance; RehearsalName makes one
	Until   time.Time         // when everybody may remove it
	Options Options
}

// RehearsalPrefix is how the name of a rehearsal's instance begins. The provider's
// policy of rehearsals is bounded by it.
const RehearsalPrefix = snapshot.Prefix + "try-"

// RehearsalName is that of an instance.
func RehearsalName(random [4]byte) string { return fmt.Sprintf("%s%x", RehearsalPrefix, random) }

// RehearsedAs is the name of the node whose databases are on the instance. Another
// node may be called the same, so nothing is deleted for this name alone.
func (r Rehearsal) RehearsedAs() holdfast.NodeName {
	const ending, most = "-rehearsal", 63
	if len(r.Node)+len(ending) <= most {
		return r.Node + ending
	}
	return holdfast.NodeName(digest(string(r.Node)) + ending)
}

// temporaries are the instances of the rehearsal's snapshots.
func (r Rehearsal) temporaries() Target {
	until := r.Until
	if until.IsZero() { // who only looks makes none
		until = time.Now()
	}
	return Target{Provider: r.Account, Node: r.RehearsedAs(), Until: until, Options: r.Options}
}

func (r Rehearsal) labels() map[string]string {
	return map[string]string{
		RehearsalPrefix + labelNode: string(r.Node), RehearsalPrefix + labelAt: time.Now().UTC().Format(time.RFC3339),
		RehearsalPrefix + labelTill: r.Until.UTC().Format(time.RFC3339),
	}
}

// ours reports whether an instance is one of a rehearsal of the node, and until when.
func (r Rehearsal) ours(s snapshot.Server) (until time.Time, is bool) {
	until, err := time.Parse(time.RFC3339, s.Labels[RehearsalPrefix+labelTill])
	return until, err == nil && strings.HasPrefix(s.Name, RehearsalPrefix) &&
		s.Labels[RehearsalPrefix+labelNode] == string(r.Node)
}

// Make makes the instance and waits until it is available.
func (r Rehearsal) Make(ctx context.Context, n New) (snapshot.Server, error) {
	var found snapshot.Server
	asked, state := 0, ""
	err := r.temporaries().until(ctx, "instance "+r.Name+" was not made", func(list []snapshot.Server) (bool, error) {
		there, exists := named(list, r.Name)
		if !exists {
			asked++
			err := r.Account.Create(ctx, r.Name, n, r.labels())
			lost := holdfast.ClassOf(err) == holdfast.Unreachable && asked < tries
			if lost || errors.Is(err, snapshot.ErrExists) { // the next look finds it
				return false, ctx.Err()
			}
			return false, err
		}
		if _, ours := r.ours(there); !ours {
			return false, &holdfast.Problem{
				Class: holdfast.Refused, What: fmt.Sprintf("instance %s was not made by this rehearsal", r.Name),
				Do: "Run the command again: it takes another name.",
			}
		}
		if there.State != state {
			state = there.State
			r.Options.Events.Report(Making{there.String(), state})
		}
		if broken(state) {
			return false, &holdfast.Problem{
				Class: holdfast.Failed, What: fmt.Sprintf("instance %s is %s: the provider gave it up", r.Name, state),
				Do: "Look at its events in the provider's console. Another class: --class.",
			}
		}
		found = there
		return there.Takes, nil
	})
	return found, err
}

// End deletes the instance and waits until it is gone. Its snapshots stay.
func (r Rehearsal) End(ctx context.Context) error { return r.end(ctx, r.Name, true) }

// end requests the end of an instance of ours. RDS deletes none that it is still
// making.
func (r Rehearsal) end(ctx context.Context, name string, wait bool) error {
	asked := 0
	return r.temporaries().until(ctx, "instance "+name+" was not deleted", func(list []snapshot.Server) (bool, error) {
		there, exists := named(list, name)
		if _, ours := r.ours(there); !exists || !ours {
			return true, nil
		}
		if there.State == deleting {
			return !wait, nil
		}
		asked++
		return false, again(ctx, r.Account.Delete(ctx, there), asked)
	})
}

// deleting is the state of an instance that is about to be gone.
const deleting = "deleting"

// leftover is something that a rehearsal made.
type leftover struct {
	what, name string
	until      time.Time
	remove     func(ctx context.Context) error
}

func (l leftover) String() string { return l.what + " " + l.name }

// left are what rehearsals of the node have made.
func (r Rehearsal) left(ctx context.Context) (out []leftover, err error) {
	list, err := r.Account.Servers(ctx)
	if err != nil {
		return nil, err
	}
	of := r.temporaries()
	for _, m := range of.all(list) {
		if strings.HasPrefix(m.of, RehearsalPrefix) && m.State != deleting {
			out = append(out, leftover{"instance", m.Name, m.till, func(ctx context.Context) error {
				return of.Drop(ctx, "", m.Name)
			}})
		}
	}
	for _, s := range list {
		if until, ours := r.ours(s); ours && s.State != deleting {
			out = append(out, leftover{"instance", s.Name, until, func(ctx context.Context) error {
				return r.end(ctx, s.Name, false)
			}})
		}
	}
	kept, err := r.Account.Snapshots(ctx)
	for _, s := range kept {
		if node, set, ours := s.Owner(); ours && node == of.Node && strings.HasPrefix(s.Server, RehearsalPrefix) {
			out = append(out, leftover{"snapshot", s.Name, set.Began().Add(Lifetime), func(ctx context.Context) error {
				return r.discard(ctx, s.Name)
			}})
		}
	}
	return out, err
}

// discard deletes a snapshot. RDS deletes none that it is still taking.
func (r Rehearsal) discard(ctx context.Context, name string) error {
	asked := 0
	return r.temporaries().until(ctx, "snapshot "+name+" was not deleted", func([]snapshot.Server) (bool, error) {
		asked++
		err := r.Account.DeleteSnapshot(ctx, name)
		return err == nil, again(ctx, err, asked)
	})
}

// Left names what rehearsals of the node have left.
func (r Rehearsal) Left(ctx context.Context) ([]string, error) {
	list, err := r.left(ctx)
	var out []string
	for _, l := range list {
		out = append(out, l.String())
	}
	return out, err
}

// Remove removes what rehearsals of the node have made and is due, and returns what
// is gone. An error says what is left. All of it is requested at once: what cannot be
// deleted yet, because it is still being made, keeps nothing else.
func (r Rehearsal) Remove(ctx context.Context, due func(until time.Time) bool) ([]string, error) {
	list, err := r.left(ctx)
	list = slices.DeleteFunc(list, func(l leftover) bool { return !due(l.until) })
	failures := make([]error, len(list))
	var all sync.WaitGroup
	for i, l := range list {
		all.Go(func() { failures[i] = l.remove(ctx) })
	}
	all.Wait()
	var removed []string
	for i, l := range list {
		if failures[i] != nil {
			failures[i] = fmt.Errorf("%s is left, and costs until it is deleted: %w", l, failures[i])
			continue
		}
		removed = append(removed, l.String())
	}
	return removed, errors.Join(append(failures, err)...)
}

// Setup says how the temporary instance of a snapshot is to be set up, and how it is.
func Setup(of, temporary snapshot.Server) (wants, has string) {
	show := func(s content.Shape) string {
		return fmt.Sprintf("class %s, storage %s, subnet group %s, security groups %s, parameter group %s, authority %s, public %t",
			s.Class, s.Storage, s.Subnets, strings.Join(s.SecurityGroups, " "), s.Parameters, s.Certificate, s.Public)
	}
	return show(forOnce(of.Shape)), show(temporary.Shape)
}

// Temporary is the instance that was made of a set's snapshot, if it is there.
func (r Rehearsal) Temporary(ctx context.Context, set holdfast.SetID) (snapshot.Server, bool, error) {
	list, err := r.Account.Servers(ctx)
	found, there := named(list, temporary.name(set, r.Name))
	return found, there, err
}
