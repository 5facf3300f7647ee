package repository_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
)

// second is a place for a copy.
func second(s *site) place.Place { return s.within() }

// send brings a copy up to date.
func send(t *testing.T, from, to place.Place) repository.Sent {
	t.Helper()
	sent, err := open(t, from).CopyTo(t.Context(), to, by(to))
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// ids are the sets that a repository lists.
func ids(t *testing.T, at place.Place) (out []holdfast.SetID) {
	t.Helper()
	for _, e := range sets(t, open(t, at), "") {
		out = append(out, e.ID)
	}
	return out
}

// What is dropped in the repository stays in the copy, and what is dropped in the
// copy is not sent again. Each is maintained by itself, and goes on.
func TestACopyIsARepositoryOfItsOwn(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		clock, at := clocked(t, s)
		to := second(s)
		contents := map[holdfast.SetID][]byte{}
		take := func(n int) *holdfast.Set {
			content := random(uint64(n), 3<<20) //nolint:gosec // small
			set := storeRows(t, open(t, at), n, content)
			contents[set.ID] = content
			return set
		}
		one, two, three := take(1), take(2), take(3)
		send(t, at, to)
		clock.pass(time.Minute)
		drop(t, open(t, at), one.ID, two.ID)
		drop(t, open(t, to), two.ID)
		for range 4 { // packs are given back, and epochs are closed, in both
			clock.pass(25 * time.Hour)
			maintain(t, open(t, at))
			maintain(t, open(t, to))
		}
		four := take(4)
		if sent := send(t, at, to); sent.Sets != 1 || sent.Present != 1 {
			t.Errorf("sent %+v", sent)
		}
		if got, want := ids(t, to), []holdfast.SetID{one.ID, three.ID, four.ID}; !slices.Equal(got, want) {
			t.Fatalf("the copy lists %v, want %v", got, want)
		}
		for _, id := range ids(t, to) {
			readsWhole(t, to, id, contents[id])
		}
		if _, i := inspected(t, to); len(i.Damages()) > 0 {
			t.Errorf("the copy: %v", i.Damages())
		}
	})
}

// Only pieces that the copy lacks are sent, and what belongs to sets comes along.
func TestWhatACopyGets(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		to := second(s)
		content := random(1, 6<<20)
		set := storeRows(t, open(t, at), 1, content)
		r := open(t, at)
		until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		for _, err := range []error{
			r.PutDrill(t.Context(), record.Drill{Node: "demo", Set: set.ID, At: until}),
			r.Pin(t.Context(), record.Pin{Node: "demo", Set: set.ID, Reason: "audit", Until: until}),
			r.AddDeed(t.Context(), record.Deed{Node: "demo", At: until}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		key := func(r *repository.Repository, fresh string) string {
			k, err := r.SigningKey(t.Context(), func() (string, string, error) { return fresh, fresh, nil })
			if err != nil {
				t.Fatal(err)
			}
			return k.Public
		}
		key(r, "the first")
		if sent := send(t, at, to); sent.Records != 4 || sent.Bytes < 6<<20 {
			t.Errorf("at first: %+v", sent)
		}
		storeRows(t, open(t, at), 2, content)
		if sent := send(t, at, to); sent.Sets != 1 || sent.Bytes > 64<<10 || sent.Records != 0 {
			t.Errorf("the same rows once more: %+v", sent)
		}
		if err := open(t, at).Unpin(t.Context(), "demo", set.ID); err != nil {
			t.Fatal(err)
		}
		send(t, at, to)
		there := open(t, to)
		for _, e := range sets(t, there, "") {
			if time.Since(e.Stored).Abs() > time.Hour {
				t.Errorf("set %s was stored there on %v", e.ID, e.Stored)
			}
		}
		drills, _ := there.Drills(t.Context(), "demo")
		pins, _ := there.Pins(t.Context(), "demo")
		trail, err := there.Trail(t.Context())
		if len(drills) != 1 || len(pins) != 1 || err != nil || len(trail.Deeds) != 1 || key(there, "another") != "the first" {
			t.Errorf("drills %v, pins %v, trail %v, %v", drills, pins, trail, err)
		}
	})
}

// A copy that an earlier version made has the blobs of the repository under their
// names. It goes on from there, whatever was sent of it last, even if its own
// maintenance has closed the time of which indexes were still to come.
func TestACopyOfBlobsGoesOn(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		to := second(s)
		contents := [][]byte{random(1, 3<<20), random(2, 3<<20), random(3, 1<<20)}
		one, two := storeRows(t, open(t, at), 1, contents[0]), storeRows(t, open(t, at), 2, contents[1])
		copyBlobs(t, at, to)
		var st blob.Storage
		open(t, to, repository.Through(func(s blob.Storage) blob.Storage { st = s; return s }))
		for _, epoch := range []blob.ID{"xe1", "xe2", "xe3"} { // as kopia does after 24 hours and 20 indexes each
			if err := st.PutBlob(t.Context(), epoch, repository.Text("epoch-marker"), blob.PutOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		maintain(t, open(t, to))
		maintain(t, open(t, to))
		drop(t, open(t, at), one.ID)
		three := storeRows(t, open(t, at), 3, contents[2])
		if sent := send(t, at, to); sent.Sets != 1 || sent.Present != 1 || sent.Bytes > 2<<20 {
			t.Errorf("sent %+v", sent)
		}
		for i, set := range []*holdfast.Set{one, two, three} {
			readsWhole(t, to, set.ID, contents[i])
		}
	})
}

// A copy that lost some of its data gets it again.
func TestACopyThatLostData(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		to := second(s)
		content := random(1, 6<<20)
		set := storeRows(t, open(t, at), 1, content)
		send(t, at, to)
		for _, id := range names(t, to, "p") {
			removeBlob(t, to, id)
		}
		if sent := send(t, at, to); sent.Bytes < 6<<20 {
			t.Errorf("sent again: %+v", sent)
		}
		readsWhole(t, to, set.ID, content)
	})
}

// stopping is a storage in which nothing is changed any more after some writes, as
// if its process had been killed.
type stopping struct {
	blob.Storage
	left *atomic.Int64
	stop context.CancelFunc
}

var errKilled = errors.New("killed")

func (s stopping) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	if s.left.Add(-1) < 0 {
		s.stop()
		return errKilled
	}
	return s.Storage.PutBlob(ctx, id, data, o)
}

func (s stopping) DeleteBlob(ctx context.Context, id blob.ID) error {
	if s.left.Load() < 0 {
		return errKilled
	}
	return s.Storage.DeleteBlob(ctx, id)
}

// Wherever a run is killed, the copy lists whole sets only, and the next run goes on
// with what is there.
func TestACopyThatIsKilledInTheMiddle(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		defer repository.SetCopyCheckpoint(1 << 20)()
		at := s.make1(t)
		to := second(s)
		contents := map[holdfast.SetID][]byte{}
		for n := 1; n < 4; n++ {
			content := random(uint64(n), 4<<20) //nolint:gosec // small
			contents[storeRows(t, open(t, at), n, content).ID] = content
		}
		var total int64
		for writes := int64(1); ; writes++ {
			ctx, cancel := context.WithCancel(t.Context())
			var left atomic.Int64
			left.Store(writes)
			sent, err := open(t, at).CopyTo(ctx, to, by(to), repository.Through(func(st blob.Storage) blob.Storage {
				return stopping{st, &left, cancel}
			}))
			cancel()
			total += sent.Bytes
			if there(t, to) {
				for _, id := range ids(t, to) {
					readsWhole(t, to, id, contents[id])
				}
			}
			if err == nil {
				break
			}
			if writes > 60 {
				t.Fatalf("it never ends: %v", err)
			}
		}
		if got := ids(t, to); len(got) != 3 {
			t.Errorf("the copy lists %v", got)
		}
		if total > 13<<20 {
			t.Errorf("%d bytes were sent of 12 MiB: nothing was taken up", total)
		}
	})
}

// What the first copy of a set costs.
func BenchmarkCopyTo(b *testing.B) {
	at, _ := make1(b)
	const bytes = 64 << 20
	content := make([]byte, 0, bytes)
	for n := 0; len(content) < bytes-64; n++ { // rows that compress about as those of a participant
		content = fmt.Appendf(content, "%d\t\\\\x%x\t2026-11-22 15:45:00\n", n, n*0x9e3779b1)
	}
	set := aSet("demo", 1, holdfast.Proven, rows)
	if err := store(b.Context(), open(b, at), set, map[string][]byte{rows: content}); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		to := place.Directory(filepath.Join(b.TempDir(), "copy"))
		if _, err := open(b, at).CopyTo(b.Context(), to); err != nil {
			b.Fatal(err)
		}
	}
}
