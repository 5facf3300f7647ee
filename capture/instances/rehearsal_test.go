package instances

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// account has lists, and remembers what is deleted.
type account struct {
	Account

	instances []snapshot.Server
	snapshots []snapshot.Snapshot
}

func (a account) Servers(context.Context) ([]snapshot.Server, error)     { return a.instances, nil }
func (a account) Snapshots(context.Context) ([]snapshot.Snapshot, error) { return a.snapshots, nil }

// Only what has a rehearsal's labels under the names that follow from them is left by
// one: not what another node's rehearsal made, not what belongs to a node with the name
// of a rehearsal's, and nothing whose labels were copied.
func TestWhatARehearsalLeft(t *testing.T) {
	r := Rehearsal{Node: "demo", Name: RehearsalName([4]byte{1, 2, 3, 4}), Until: time.Now()}
	other := Rehearsal{Node: "other", Name: r.Name, Until: time.Now()}
	lifts := func(r Rehearsal, of string) snapshot.Server {
		m := made{set: set, from: "s", of: of}
		return one(temporary.name(set, of), "db-3", r.temporaries().labels(m, content.Shape{}))
	}
	kept := func(node holdfast.NodeName, server, name string) snapshot.Snapshot {
		return snapshot.Snapshot{Name: name, Server: server, Labels: snapshot.Labels(node, set, server)}
	}
	mine := snapshot.Name(set, r.Name)
	r.Account = account{
		instances: []snapshot.Server{
			one(r.Name, "db-1", r.labels()), lifts(r, r.Name), // its own
			one("holdfast-try-99999999", "db-2", other.labels()), one("canton", "db-4", r.labels()), one("holdfast-try-1", "db-5", nil),
			lifts(r, "canton"), lifts(other, "holdfast-try-99999999"),
		},
		snapshots: []snapshot.Snapshot{
			kept(r.RehearsedAs(), r.Name, mine), // its own
			kept(r.RehearsedAs(), "canton", snapshot.Name(set, "canton")), kept(r.RehearsedAs(), r.Name, "nightly"),
			kept("demo", r.Name, mine), kept(other.RehearsedAs(), r.Name, mine),
		},
	}
	left, err := r.Left(t.Context())
	want := []string{"instance " + temporary.name(set, r.Name), "instance " + r.Name, "snapshot " + mine}
	if err != nil || !slices.Equal(left, want) {
		t.Errorf("left are %v, %v; want %v", left, err, want)
	}
	if none, err := r.Remove(t.Context(), func(time.Time) bool { return false }); err != nil || len(none) > 0 {
		t.Errorf("removed were %v: %v", none, err)
	}
	for _, name := range left {
		if _, id, _ := strings.Cut(name, " "); len(id) > 63 || !strings.HasSuffix(id, r.Name) {
			t.Errorf("%s has no name that the policy is bounded by", name)
		}
	}
	long := Rehearsal{Node: holdfast.NodeName(strings.Repeat("n", 63))}
	if name := long.RehearsedAs(); (holdfast.Node{Name: name, Components: []holdfast.Component{{Name: "p", Kind: holdfast.Participant}}}).Validate() != nil {
		t.Errorf("a node cannot be called %s", name)
	}
}
