package endtoend

import (
	"context"
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

// Against every server of a place outside of the machine: sets are taken under
// write load; the server is killed by its pid in the middle of one, and started
// again; the next run takes up what was stored and indexed; every set that is
// listed reads whole; the node is destroyed, and comes back equal on a machine that
// has the place and the password alone. The short form tells it of one server.
func TestTheWholeStoryInEveryPlace(t *testing.T) {
	for _, kind := range storetest.Lasting {
		t.Run(kind.Name, func(t *testing.T) {
			if kind.Name != "versitygw" {
				splicetest.OnlyLong(t)
			}
			began := time.Now()
			tellStory(t, kind.Start(t))
			t.Logf("%s: %v", kind.Name, time.Since(began).Round(time.Second))
		})
	}
}

func tellStory(t *testing.T, store storetest.Store) {
	by := repository.By(store.Access)
	if err := repository.Create(t.Context(), store.Place, holdfast.NewSecret(password), by); err != nil {
		t.Fatal(err)
	}
	b := newBed(t, splicetest.NodeOptions{})
	b.At = store.Place
	b.Dump = postgres.Options{Lanes: 1, Connections: 6, SegmentBlocks: 64}
	deadly := &deadly{store: store}
	b.Repository = openAt(t, store.Place, by, repository.IndexEvery(indexedEvery), repository.Through(deadly.wrap))

	// A slow load: what it writes on a busy machine must not be more than the archive.
	stop := b.live(t, splicetest.Load{Rate: 5, IngestDelay: 20 * time.Millisecond})
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

	b.Repository = openAt(t, store.Place, by)
	if list := b.entries(t); len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("after the server was killed these are listed: %v", list)
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
	readsWhole(t, store, 3)

	if err := b.Node.Close(); err != nil {
		t.Fatal(err)
	}
	machine := splicetest.NewServer(t, "")
	dsn := [2]string{machine.DSN(splicetest.ParticipantDatabase), machine.DSN(splicetest.ValidatorDatabase)}
	elsewhere := parts{
		Node:       nodeAt(t, dsn[0], dsn[1]),
		Repository: openAt(t, store.Place, by),
		noOwner:    true,
	}
	if splicetest.Long() {
		elsewhere.mustRestore(t, loaded.ID, restore.Options{OnlyProve: true})
	}
	elsewhere.mustRestore(t, last.ID, restore.Options{})
	for n := range dsn {
		sameRows(t, dsn[n], want[n])
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
