package snapshot_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/snapshot"
)

const set = holdfast.SetID("20261122T154500Z-1f0c9a3e")

// Names are what the strictest provider takes, whatever a server is called, and
// two servers never share one.
func TestNames(t *testing.T) {
	rule := regexp.MustCompile(`^[a-z](-?[a-z0-9])*$`)
	seen := map[string]string{}
	for _, server := range []string{
		"canton", "canton-participant-in-production", "canton-participant-in-production-2", "Canton", "can.ton", "_", "-",
		strings.Repeat("a", 63), strings.Repeat("a", 62) + "b", "a-" + strings.Repeat("b", 61),
	} {
		name := snapshot.Name(set, server)
		if !rule.MatchString(name) || len(name) > 63 || !strings.HasPrefix(name, snapshot.Prefix+"20261122t154500z-1f0c9a3e-") {
			t.Errorf("%q: %q, of %d characters", server, name, len(name))
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%q and %q are both %q", server, other, name)
		}
		seen[name] = server
	}
}

// Only a snapshot whose name follows from its labels is ours, and only one that
// no set refers to and that no run can still be making is deleted.
func TestWhichSnapshotsAreSwept(t *testing.T) {
	labels := func(node, set, server string) map[string]string {
		return map[string]string{"holdfast-node": node, "holdfast-set": set, "holdfast-server": server}
	}
	mine := snapshot.Name(set, "canton")
	now := set.Began().Add(snapshot.Grace)
	for _, c := range []struct {
		name   string
		one    snapshot.Snapshot
		sets   snapshot.Sets
		now    time.Time
		delete bool
		says   string
	}{
		{"an orphan", snapshot.Snapshot{Name: mine, Labels: labels("demo", string(set), "canton")}, snapshot.Sets{}, now, true, "no set"},
		{"a young one", snapshot.Snapshot{Name: mine, Labels: labels("demo", string(set), "canton")}, snapshot.Sets{}, now.Add(-1), false,
			"younger"},
		{"of a set", snapshot.Snapshot{Name: mine, Labels: labels("demo", string(set), "canton")},
			snapshot.Sets{There: map[holdfast.SetID]bool{set: true}}, now, false, "refers to it"},
		{"of a dropped set", snapshot.Snapshot{Name: mine, Labels: labels("demo", string(set), "canton")},
			snapshot.Sets{Dropped: map[holdfast.SetID]bool{set: true}}, set.Began(), true, "was dropped"},
		{"of another node", snapshot.Snapshot{Name: mine, Labels: labels("other", string(set), "canton")}, snapshot.Sets{}, now, false,
			"node other"},
		{"without labels", snapshot.Snapshot{Name: mine}, snapshot.Sets{}, now, false, "did not make it"},
		{"under another name", snapshot.Snapshot{Name: "nightly", Labels: labels("demo", string(set), "canton")}, snapshot.Sets{}, now, false,
			"did not make it"},
		{"a copy that kept its labels", snapshot.Snapshot{Name: mine, CopyOf: "x", Labels: labels("demo", string(set), "canton")},
			snapshot.Sets{}, now, false, "did not make it"},
		{"of no set's name", snapshot.Snapshot{Name: snapshot.Name("yesterday", "canton"),
			Labels: labels("demo", "yesterday", "canton")}, snapshot.Sets{}, now, false, "did not make it"},
	} {
		fates := snapshot.Decide([]snapshot.Snapshot{c.one}, "demo", c.sets, c.now)
		if f := fates[0]; f.Delete != c.delete || !strings.Contains(f.Why, c.says) {
			t.Errorf("%s: %+v, want %v, %q", c.name, f, c.delete, c.says)
		}
	}
}

// refusing is a shelf that does not give one snapshot up.
type refusing struct{ kept string }

func (refusing) List(context.Context) ([]snapshot.Snapshot, error) { return nil, nil }

func (r refusing) Delete(_ context.Context, name string) error {
	if name == r.kept {
		return errors.New("no right to delete it")
	}
	return nil
}

// Nobody is told of a deletion that did not happen.
func TestWhatIsNotDeletedIsNotSaidToBe(t *testing.T) {
	fates := []snapshot.Fate{
		{Snapshot: snapshot.Snapshot{Name: "first"}, Delete: true},
		{Snapshot: snapshot.Snapshot{Name: "refused"}, Delete: true},
		{Snapshot: snapshot.Snapshot{Name: "others"}},
		{Snapshot: snapshot.Snapshot{Name: "last"}, Delete: true},
	}
	deleted, err := snapshot.Sweep(t.Context(), refusing{"refused"}, fates)
	if err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("the error is %v", err)
	}
	if len(deleted) != 2 || deleted[0].Snapshot.Name != "first" || deleted[1].Snapshot.Name != "last" {
		t.Errorf("deleted are %v", deleted)
	}
}
