package endtoend

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kopia/kopia/repo/blob"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/verify"
)

// What the story of a place is about: rows that no compression makes smaller, what
// has to be stored of them before the server is killed, and how often a run writes
// its index.
const (
	archiveBytes = 12 << 20
	killedBehind = 9 << 20
	indexedEvery = 1 << 20
)

// badWire is one to a place.
type badWire struct {
	name  string
	fault storetest.Fault
	fails bool // a run through it may fail
}

// wires are the bad ones. A run that has to fail takes long: the short form has none.
var wires = []badWire{
	{"late", storetest.Delays, false},
	{"closed slowly", storetest.SlowlyCloses, false},
	{"reset", storetest.Resets, true},
	{"half-open", storetest.HalfOpen, true},
}

// Against every server of a place outside of the machine, behind every bad wire: sets
// are taken under write load; the server is killed by its pid in the middle of one, and
// started again; the next run takes up what was stored and indexed; every set that is
// listed reads whole; the node is destroyed, and comes back equal on a machine that
// has the place and the password alone. The short form does it with one server behind one
// wire that a run comes through, by chance.
func TestTheWholeStoryInEveryPlace(t *testing.T) {
	through := slices.IndexFunc(wires, func(w badWire) bool { return w.fails })
	chance := rand.IntN(through) //nolint:gosec // a test's
	for _, kind := range storetest.Lasting {
		for n, bad := range wires {
			t.Run(kind.Name+" "+bad.name, func(t *testing.T) {
				if kind.Name != "versitygw" || n != chance {
					splicetest.OnlyLong(t)
				}
				began := time.Now()
				tellStory(t, kind.Start(t), bad)
				t.Logf("%s, %s: %v", kind.Name, bad.name, time.Since(began).Round(time.Second))
			})
		}
	}
}

func tellStory(t *testing.T, store storetest.Store, bad badWire) {
	behind, front := store.Behind(t)
	behind.Access.Silence = 10 * time.Second // SFTP confirms each 32 KiB, and each confirmation may be late
	through := repository.By(behind.Access)
	by := repository.By(store.Access)
	if err := repository.Create(t.Context(), store.Place, holdfast.NewSecret(password), by); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, splicetest.NodeOptions{})
	b.At = behind.Place
	b.Dump = postgres.Options{Lanes: 1, Connections: 6, SegmentBlocks: 64}
	deadly := &deadly{store: store}
	b.Repository = openAt(t, behind.Place, through, repository.IndexEvery(indexedEvery),
		repository.Through(deadly.wrap))

	// A slow load: what it writes on a busy machine must not be more than the archive.
	stop := b.live(t, splicetest.Load{Rate: 5, IngestDelay: 20 * time.Millisecond})
	if !bad.fails {
		front.Disturb(bad.fault, 0, 0)
	}
	first := b.backup(t)
	execute(t, b.ParticipantDSN(), `CREATE TABLE participant.archive AS
		SELECT i, (SELECT string_agg(decode(md5(i || '-' || j), 'hex'), '') FROM generate_series(1, 96) j) AS b
		FROM generate_series(1, 8200) i`)
	deadly.arm()
	if _, err := b.job().Run(t.Context()); err == nil || !deadly.struck() {
		t.Fatalf("a backup whose server was killed: %v; killed: %t", err, deadly.struck())
	}
	store.Start(t)
	if deadly.indexed < killedBehind-2*indexedEvery {
		t.Errorf("%d bytes were stored and indexed, which shows nothing", deadly.indexed)
	}

	b.Repository = openAt(t, behind.Place, through)
	if list := b.entries(t); len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("after the server was killed these are listed: %v", list)
	}
	if bad.fails {
		b.fails(t, behind, front, bad, first.ID)
	}
	loaded := b.backup(t)
	stop()
	// Its rows take their bytes, so whoever takes nothing up sends more than those.
	if sent := b.Repository.Traffic().Sent; sent == 0 || sent > archiveBytes {
		t.Errorf("the next run sent %d bytes of some %d, and %d were there", sent, archiveBytes, deadly.indexed)
	} else {
		t.Logf("the next run sent %d KiB; %d KiB were there", sent>>10, deadly.indexed>>10)
	}
	last := b.backup(t)
	want := [2]map[string]string{fingerprint(t, b.ParticipantDSN()), fingerprint(t, b.ValidatorDSN())}
	listed := b.entries(t)
	if len(listed) < 3 {
		t.Errorf("these are listed: %v", listed)
	}
	readsWhole(t, store, len(listed))

	if err := b.Node.Close(); err != nil {
		t.Fatal(err)
	}
	machine := splicetest.NewServer(t, "")
	dsn := [2]string{machine.DSN(splicetest.ParticipantDatabase), machine.DSN(splicetest.ValidatorDatabase)}
	elsewhere := parts{
		Node:       nodeAt(t, dsn[0], dsn[1]),
		Repository: openAt(t, behind.Place, through),
		noOwner:    true,
	}
	if bad.fault == storetest.HalfOpen {
		elsewhere.restoreFails(t, behind, front, bad, loaded.ID)
	} else {
		front.Disturb(bad.fault, 8<<10, 2)
	}
	if splicetest.Long() {
		elsewhere.mustRestore(t, loaded.ID, restore.Options{OnlyProve: true})
	}
	elsewhere.mustRestore(t, last.ID, restore.Options{})
	for n := range dsn {
		sameRows(t, dsn[n], want[n])
	}
}

// longest is how long a run may go on over a wire that fails. Requests over a silent
// one end within half a minute.
const longest = 5 * time.Minute

// fails takes a set while the wire goes bad in the middle of it. The run may come
// through, or ends in time; then nothing more is listed than before. The next run has
// a good wire.
func (b *bed) fails(
	t *testing.T, behind storetest.Store, front *storetest.Front, bad badWire, listed holdfast.SetID,
) {
	t.Helper()
	good := b.Repository
	b.Repository = openAt(t, behind.Place, repository.By(behind.Access), repository.IndexEvery(indexedEvery))
	front.Disturb(bad.fault, 1<<20, 3)
	began := time.Now()
	_, err := b.job().Run(t.Context())
	judgeEnd(t, "the run", bad, began, err)
	front.Disturb(storetest.Passes, 0, 0)
	b.Repository = good
	if list := b.entries(t); err != nil && (len(list) != 1 || list[0].ID != listed) {
		t.Errorf("after a run that failed these are listed: %v", list)
	}
}

// restoreFails restores while the wire goes bad.
func (p parts) restoreFails(
	t *testing.T, behind storetest.Store, front *storetest.Front, bad badWire, id holdfast.SetID,
) {
	t.Helper()
	p.Repository = openAt(t, behind.Place, repository.By(behind.Access))
	set, files := p.find(t, id)
	plan, err := restore.Make(t.Context(), p.target(), set, restore.Options{OnlyProve: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	front.Disturb(bad.fault, 2<<10, 0)
	began := time.Now()
	_, err = restore.Apply(t.Context(), p.target(), plan, set, files, nil)
	judgeEnd(t, "the restore", bad, began, err)
	if _, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Unreachable ||
		!strings.Contains(err.Error(), behind.Place.String()) || !strings.Contains(do, "holdfast config check --live") {
		t.Errorf("the restore names neither the place nor what to type: %v: %s", err, do)
	}
	front.Disturb(storetest.Passes, 0, 0)
}

// judgeEnd judges how something ended that went over a bad wire.
func judgeEnd(t *testing.T, what string, bad badWire, began time.Time, err error) {
	t.Helper()
	took := time.Since(began)
	t.Logf("%s: %s ended after %v: %v", bad.name, what, took.Round(time.Second), err)
	if took > longest {
		t.Errorf("%s did not end in time", what)
	}
	if bad.fault != storetest.HalfOpen {
		return
	}
	if err == nil {
		t.Errorf("%s came to its end though its bytes went nowhere", what)
	} else if !strings.Contains(err.Error(), "no answer within") {
		t.Errorf("%s blames something else: %v", what, err)
	}
}

// deadly kills a server once enough packs were stored in it.
type deadly struct {
	store storetest.Store

	mu      sync.Mutex
	armed   bool
	dead    bool
	packed  int64 // bytes of packs that were confirmed
	indexed int64 // of those, what an index knows
}

func (d *deadly) wrap(st blob.Storage) blob.Storage { return deadlyStorage{st, d} }

func (d *deadly) arm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = true
}

func (d *deadly) struck() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

type deadlyStorage struct {
	blob.Storage
	d *deadly
}

// PutBlob implements blob.Storage. The server dies before the next pack.
func (s deadlyStorage) PutBlob(ctx context.Context, id blob.ID, data blob.Bytes, o blob.PutOptions) error {
	s.d.strike(id)
	before := s.d.stored()
	err := s.Storage.PutBlob(ctx, id, data, o)
	if err == nil {
		s.d.note(id, int64(data.Length()), before)
	}
	return err
}

func (d *deadly) strike(id blob.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.armed && !d.dead && id[0] == 'p' && d.packed > killedBehind {
		d.dead = true
		d.store.Stop()
	}
}

func (d *deadly) stored() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.packed
}

// note counts what was confirmed. An index knows the packs that were stored when it
// was begun.
func (d *deadly) note(id blob.ID, bytes, before int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.armed:
	case id[0] == 'p':
		d.packed += bytes
	case id[0] == 'x' || id[0] == 'n':
		d.indexed = max(d.indexed, before)
	}
}

func fingerprint(t *testing.T, dsn string) map[string]string {
	t.Helper()
	got, err := splicetest.Fingerprint(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// readsWhole reads every byte of every set that is listed.
func readsWhole(t *testing.T, store storetest.Store, sets int) {
	t.Helper()
	r := openAt(t, store.Place, repository.By(store.Access))
	stock, err := r.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	j := verify.Job{Stock: stock, Digest: postgres.Digest, Now: time.Now}
	plan, err := j.Plan(t.Context(), everything)
	if err != nil {
		t.Fatal(err)
	}
	report, err := j.Run(t.Context(), plan)
	if err != nil || report.Verdict != holdfast.Holds || len(report.Sets) != sets {
		t.Errorf("verify: %v, %s of %d sets: %+v", err, report.Verdict, len(report.Sets), report.Findings)
	}
}
