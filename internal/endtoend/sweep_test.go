package endtoend

import (
	"context"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/repository"
	"holdfast/restore"
)

// points are how many calls of each kind a sweep picks; HOLDFAST_TEST_SWEEP
// sets another number, and 0 there for every call.
const points = 3

// pick chooses calls between 1 and n, spread evenly, with an offset that
// changes from run to run.
func pick(t testing.TB, r *rand.Rand, n int64) []int64 {
	t.Helper()
	want := int64(points)
	if text := os.Getenv("HOLDFAST_TEST_SWEEP"); text != "" {
		var err error
		if want, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if want <= 0 || want > n {
		want = n
	}
	stride := float64(n) / float64(want)
	offset := r.Float64() * stride
	var out []int64
	for at := offset; at < float64(n); at += stride {
		out = append(out, int64(at)+1)
	}
	return out
}

func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HOLDFAST_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HOLDFAST_TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// wrapped are the bed's parts with their calls counted.
func (b *bed) wrapped(t testing.TB, storage, database *counter) *parts {
	t.Helper()
	p := b.parts
	p.Node.Addresses = maps.Clone(p.Node.Addresses)
	for name, to := range p.Node.Addresses {
		to.Dial = database.dial
		p.Node.Addresses[name] = to
	}
	p.Repository = openAt(t, b.At, faulty(storage))
	return &p
}

// sound makes sure that whatever happened, every visible set is whole or named
// otherwise, and that nothing of ours is left in the server.
func (b *bed) sound(t testing.TB, after string) {
	t.Helper()
	r, err := repository.Open(t.Context(), b.At, holdfast.NewSecret(password))
	if err != nil {
		t.Fatalf("%s: the repository does not open: %v", after, err)
	}
	defer func() { _ = r.Close(context.Background()) }()
	entries, err := r.Sets(t.Context(), "")
	if err != nil {
		t.Fatalf("%s: %v", after, err)
	}
	for _, e := range entries {
		s, err := r.Load(t.Context(), e)
		if err != nil {
			t.Errorf("%s: set %s is listed and does not load: %v", after, e.ID, err)
			continue
		}
		if problems := s.Set.Problems(); (e.State == holdfast.Proven) != (len(problems) == 0) ||
			e.State != s.Set.State {
			t.Errorf("%s: set %s is %s, with problems %v", after, e.ID, e.State, problems)
		}
		names := append(s.Set.FileNames(), holdfast.ManifestName)
		slices.Sort(names)
		if !slices.Equal(names, s.Names()) {
			t.Errorf("%s: the files of set %s are not those of its manifest", after, e.ID)
		}
	}
	undisturbed(t, b.ParticipantDSN())
}

// ended says how a run ended that a fault was planted in.
func ended(err error) string {
	if err == nil {
		return "well"
	}
	return "with " + err.Error()
}

// outage is how many calls in a row fail. More would only take longer: while
// its index cannot be read, kopia tries again for ever.
const outage = 4

func TestFaultSweepOfABackup(t *testing.T) {
	r := seeded(t)
	b := newBed(t, splicetest.NodeOptions{})
	b.backup(t)
	storage, database := &counter{}, &counter{}
	counting := b.wrapped(t, storage, database)
	opening := storage.calls.Load()
	counting.backup(t)
	calls := map[string]int64{"storage": storage.calls.Load(), "database": database.calls.Load()}
	t.Logf("a backup makes %d calls to the storage, %d of them to open it, and %d to the databases", calls["storage"],
		opening, calls["database"])

	failed := 0
	for _, kind := range []string{"storage", "database"} {
		for _, at := range pick(t, r, calls[kind]) {
			storage, database := &counter{}, &counter{}
			p := b.wrapped(t, storage, database)
			opened := storage.calls.Load()
			if kind == "storage" {
				storage.failures, storage.at = outage, max(at, opened+1)
			} else {
				database.failures, database.at = 1, at
			}
			set, err := p.job().Run(t.Context())
			what := "after " + kind + " call " + strconv.FormatInt(at, 10) + " failed and the run ended " + ended(err)
			if err != nil {
				failed++
			} else if set.State != holdfast.Proven {
				t.Errorf("%s: the set is %s", what, set.State)
			}
			b.sound(t, what)
		}
		b.backup(t)
		for _, at := range pick(t, r, calls[kind]) {
			e := b.task("backup")
			if kind == "storage" {
				e.StorageAt = at
			} else {
				e.DatabaseAt = at
			}
			err := start(t, e).Wait()
			b.sound(t, "after a kill at "+kind+" call "+strconv.FormatInt(at, 10)+", "+ended(err))
		}
		b.backup(t)
	}
	if failed == 0 {
		t.Error("no fault made a run fail: the test proves nothing")
	}
	// A sample of what the faults left, restored for real.
	entries := b.entries(t)
	for _, e := range []repository.Entry{entries[len(entries)-1], entries[r.IntN(len(entries))]} {
		b.mustRestore(t, e.ID, restore.Options{OnlyProve: true})
	}
	t.Logf("%d sets are in the repository", len(entries))
}

// numbers are what identifies the live databases.
func (b *bed) numbers(t testing.TB) [2]string {
	t.Helper()
	const sql = `SELECT oid::text FROM pg_database WHERE datname = $1`
	dsn := b.Participant.DSN("postgres")
	return [2]string{query[string](t, dsn, sql, splicetest.ParticipantDatabase),
		query[string](t, dsn, sql, splicetest.ValidatorDatabase)}
}

func TestFaultSweepOfARestore(t *testing.T) {
	r := seeded(t)
	b := newBed(t, splicetest.NodeOptions{})
	set := b.backup(t)
	storage, database := &counter{}, &counter{}
	counting := b.wrapped(t, storage, database)
	counting.mustRestore(t, set.ID, restore.Options{})
	calls := map[string]int64{"storage": storage.calls.Load(), "database": database.calls.Load()}
	t.Logf("a restore makes %d calls to the storage and %d to the database", calls["storage"], calls["database"])

	// after checks the one rule: both databases are the old ones, or both are
	// new. Then it tidies up as an operator would.
	var swaps, stays int
	after := func(what string, before [2]string) {
		t.Helper()
		undisturbed(t, b.ParticipantDSN())
		now := b.numbers(t)
		switch {
		case now == before:
			stays++
		case now[0] != before[0] && now[1] != before[1]:
			swaps++
		default:
			t.Errorf("%s: one database was swapped and the other was not", what)
		}
		left := b.leftovers(t)
		var all []string
		for _, d := range listed(t, b.Participant) {
			if name, _, _ := strings.Cut(d, " "); strings.Contains(name, "~") {
				all = append(all, name)
			}
		}
		slices.Sort(left)
		if !slices.Equal(left, all) {
			t.Errorf("%s: leftovers are listed as %v, there are %v", what, left, all)
		}
		if err := b.clean(t.Context(), left); err != nil {
			t.Errorf("%s: %v cannot be dropped: %v", what, left, err)
		}
	}
	after("after a restore without faults", b.numbers(t))

	attempt := func(p *parts) (err error) {
		stored, files, err := p.Repository.Find(t.Context(), p.Node.Name, string(set.ID))
		if err != nil {
			return err
		}
		plan, err := restore.Make(t.Context(), p.target(), stored, restore.Options{}, time.Now())
		if err != nil {
			return err
		}
		_, err = restore.Apply(t.Context(), p.target(), plan, stored, files, nil)
		return err
	}
	for _, kind := range []string{"storage", "database"} {
		for _, at := range pick(t, r, calls[kind]) {
			before := b.numbers(t)
			storage, database := &counter{}, &counter{}
			p := b.wrapped(t, storage, database)
			if kind == "storage" {
				storage.failures, storage.at = outage, max(at, storage.calls.Load()+1)
			} else {
				database.failures, database.at = 1, at
			}
			err := attempt(p)
			what := "after " + kind + " call " + strconv.FormatInt(at,
				10) + " failed and the restore ended " + ended(err)
			if now := b.numbers(t); (err == nil) != (now != before) {
				t.Errorf("%s: the databases were %v and are %v", what, before, now)
			}
			after(what, before)
		}
		for i, at := range pick(t, r, calls[kind]) {
			before := b.numbers(t)
			e := b.task("restore")
			e.Set = set.ID
			if kind == "storage" {
				e.StorageAt = at
			} else {
				e.DatabaseAt = at
			}
			err := start(t, e).Wait()
			what := "after a kill at " + kind + " call " + strconv.FormatInt(at, 10) + ", " + ended(err)
			if i%2 == 0 { // over what the killed one left, without cleaning first
				undisturbed(t, b.ParticipantDSN())
				if err := attempt(&b.parts); err != nil {
					t.Errorf("%s: the next restore fails: %v", what, err)
				}
				before = [2]string{}
			}
			after(what, before)
		}
	}
	b.mustRestore(t, set.ID, restore.Options{})
	b.backup(t)
	t.Logf("%d times the databases had been swapped, %d times they were the old ones", swaps, stays)
}

// A connection lost during the commit of the swap leaves the swap unknown.
// Wherever it is lost, what the restore says is so.
func TestASwapWhoseAnswerIsLost(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{TwoInstances: true})
	set, files := b.find(t, b.backup(t).ID)
	var armed atomic.Bool
	cut := b.parts
	cut.Node.Addresses = maps.Clone(cut.Node.Addresses)
	for name, to := range cut.Node.Addresses {
		to.Dial = answerless(&armed)
		cut.Node.Addresses[name] = to
	}
	for _, server := range []string{"one", "the other"} {
		plan, err := restore.Make(t.Context(), cut.target(), set, restore.Options{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		armed.Store(true)
		report, err := restore.Apply(t.Context(), cut.target(), plan, set, files, nil)
		if err != nil || !report.Swapped {
			t.Fatalf("on %s: %v", server, err)
		}
		if armed.Load() {
			t.Fatal("no answer was lost: the test is wrong")
		}
		for _, d := range report.Done {
			if !slices.Contains(b.leftovers(t), d.Previous) {
				t.Errorf("%s is said to be kept as %s, there are %v", d.Component, d.Previous, b.leftovers(t))
			}
		}
		if _, err := b.undo(t); err != nil {
			t.Fatal(err)
		}
	}
}
