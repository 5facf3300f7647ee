package endtoend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
	"holdfast/capture/postgres"
	"holdfast/export"
	"holdfast/internal/splicetest"
	"holdfast/restore"
	"holdfast/verify"
)

// durableBed is a bed whose server keeps what it says, so that sets may build on
// one another.
func durableBed(t *testing.T) *bed {
	t.Helper()
	b := newBed(t, splicetest.NodeOptions{Settings: map[string]string{"fsync": "on"}})
	b.Dump.Audit = 1e-9
	execute(t, b.ParticipantDSN(), "CREATE TABLE participant.archive AS SELECT i, repeat(md5(i::text), 10) AS t FROM generate_series(1, 20000) i")
	return b
}

// shares says how much of the participant's rows a set took over.
func shares(t *testing.T, set holdfast.Set) float64 {
	t.Helper()
	p, ok := set.Part("participant")
	if !ok || p.TakenOver == nil {
		return 0
	}
	return float64(p.TakenOver.Bytes) / float64(p.Bytes)
}

// age lets the node grow and prune once, and its archive too: some rows are new,
// some changed, and the oldest gone.
func (b *bed) age(t *testing.T, generation int) {
	t.Helper()
	execute(t, b.ParticipantDSN(), fmt.Sprintf(`
		DELETE FROM participant.archive WHERE i < %[1]d;
		UPDATE participant.archive SET t = md5(t) || substr(t, 33) WHERE i < %[1]d + 9;
		INSERT INTO participant.archive SELECT i, repeat(md5(i::text), 10) FROM generate_series(%[2]d, %[2]d + 99) i`,
		generation*200, 100000*generation))
	end := b.ledgerEnd(t)
	if err := splicetest.AppendUpdates(t.Context(), b.ParticipantDSN(), end, end+20); err != nil {
		t.Fatal(err)
	}
	if err := b.Prune(t.Context(), int64(generation)*5); err != nil {
		t.Fatal(err)
	}
}

// A set of the tenth generation is a set like others: proven, found whole by
// verify, drilled, exported and restored equal, although the sets that its rows
// were read for are gone. Without the long form it is of the fourth.
func TestSetsThatTakeOver(t *testing.T) {
	b := durableBed(t)
	execute(t, b.ParticipantDSN(), "INSERT INTO participant.archive SELECT i, repeat(md5(i::text), 10) FROM generate_series(20001, 50000) i")
	first := b.backup(t)
	old := []holdfast.SetID{first.ID}
	generations := 3
	if splicetest.Long() {
		generations = 9
	}
	for g := range generations {
		b.age(t, g+1)
		set := b.backup(t)
		if share := shares(t, set); share < 0.4 {
			t.Errorf("%.2f of the rows were taken over", share)
		}
		old = append(old, set.ID)
	}
	last := b.backup(t)
	if share := shares(t, last); share < 0.6 || shares(t, first) != 0 {
		t.Errorf("nothing changed: %.2f of the rows were taken over", share)
	}
	if err := b.Repository.Drop(t.Context(), b.parts.Node.Name, func(context.Context) ([]holdfast.SetID, error) {
		return old, nil
	}); err != nil {
		t.Fatal(err)
	}
	if report, err := verified(t, b.At, verify.Request{Level: verify.Data}); err != nil || report.Verdict != holdfast.Holds {
		t.Fatalf("verify: %v, %+v", err, report.Findings)
	}
	if report, err := b.rehearse(t, last.ID); err != nil || report.Verdict != holdfast.Holds {
		t.Fatalf("drill: %v, %+v", err, report)
	}
	want, err := splicetest.Fingerprint(t.Context(), b.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	sameRows(t, b.exported(t, last.ID), want)
	execute(t, b.ParticipantDSN(), "DROP TABLE participant.archive")
	b.mustRestore(t, last.ID, restore.Options{})
	sameRows(t, b.ParticipantDSN(), want)
}

// exported loads the participant's part of a set, as SQL, into a database of its
// own with psql.
func (b *bed) exported(t *testing.T, id holdfast.SetID) (dsn string) {
	t.Helper()
	set, files := b.find(t, id)
	var script bytes.Buffer
	pg := export.Postgres{Script: postgres.Tools{}.Script, Rows: postgres.TextRows}
	if err := export.SQL(t.Context(), set, "participant", files, &script, pg, export.SQLOptions{}); err != nil {
		t.Fatal(err)
	}
	execute(t, b.Participant.DSN("postgres"), "CREATE DATABASE exported TEMPLATE template0")
	dsn = b.Participant.DSN("exported")
	psql := exec.CommandContext(t.Context(), filepath.Join(b.Participant.Version.Bin, "psql"),
		"-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn)
	psql.Stdin = &script
	if said, err := psql.CombinedOutput(); err != nil {
		t.Fatalf("psql: %v\n%s", err, said)
	}
	return dsn
}

// sameRows compares a database's rows with a fingerprint.
func sameRows(t *testing.T, dsn string, want map[string]string) {
	t.Helper()
	got, err := splicetest.Fingerprint(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	for table := range want {
		if want[table] != got[table] {
			t.Errorf("table %s came back as %s, want %s", table, got[table], want[table])
		}
	}
}

// Rows of the last set that are lost and marked are read and stored again.
func TestWhatIsLostIsReadAgain(t *testing.T) {
	b := durableBed(t)
	b.backup(t)
	for _, path := range blobs(t, b.Dir, "p") {
		pack, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(pack) < 1<<20 {
			continue
		}
		clear(pack[len(pack)/3 : len(pack)/2])
		if err := os.WriteFile(path, pack, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	report, err := verified(t, b.At, verify.Request{Level: verify.Data, Repair: true})
	says(t, err, holdfast.Violation)
	if report.Verdict != holdfast.Violated {
		t.Fatal("nothing is damaged")
	}
	b.parts.Repository = openAt(t, b.At)
	set := b.backup(t)
	if share := shares(t, set); share > 0.9 {
		t.Errorf("%.2f were taken over from a damaged set", share)
	}
	// The first set's schema, which no other set has byte for byte, may be lost with the rows.
	report, err = verified(t, b.At, verify.Request{Level: verify.Data, Set: set.ID})
	if err != nil || verdicts(report) != "holds" {
		t.Errorf("verify: %v, %+v", err, report.Findings)
	}
}

// doubting is a source that finds, as a failing disk would let it, that rows
// changed unseen.
type doubting struct {
	backup.Source
	found holdfast.Disproof
	fails error // afterwards
}

func (d doubting) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, _ holdfast.Earlier,
) (holdfast.Capture, error) {
	capture, err := d.Source.Capture(ctx, c, clock, out, holdfast.Earlier{})
	capture.Disproof = &d.found
	return capture, errors.Join(err, d.fails)
}

// Rows that changed unseen are remembered also where the set that found them came
// to nothing, and name the sets that may have them wrong.
func TestRowsThatChangedUnseenAreRemembered(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	began := time.Now()
	doubtful := b.backup(t)
	job := b.job()
	from := job.Sources["participant"]
	job.Sources["participant"] = doubting{from, holdfast.Disproof{Table: "par_contracts", ReadAt: began}, nil}
	set, err := job.Run(t.Context())
	says(t, err, holdfast.Violation)
	if set.State != holdfast.Proven {
		t.Errorf("the set that read everything is %s", set.State)
	}
	job.Sources["participant"] = doubting{from, holdfast.Disproof{Table: "par_keys", ReadAt: time.Now()}, errors.New("silence")}
	if _, err := job.Run(t.Context()); err == nil {
		t.Fatal("the set was stored")
	}
	job.Sources["participant"] = doubting{from, holdfast.Disproof{Table: "par_contracts", ReadAt: time.Now()}, nil}
	job.Rehearsal = fullDisk{}
	if _, err := job.Run(t.Context()); err == nil {
		t.Fatal("the set was stored")
	}
	list, err := b.Repository.Disproofs(t.Context(), b.parts.Node.Name)
	if err != nil || len(list) != 3 || list[0].Set != set.ID || list[0].Component != "participant" {
		t.Fatalf("remembered: %+v, %v", list, err)
	}
	report, err := verified(t, b.At, verify.Request{Level: verify.Structure})
	says(t, err, holdfast.Undetermined)
	for _, s := range report.Sets {
		if want := s.ID == doubtful.ID; want != (s.Verdict == holdfast.CannotTell) {
			t.Errorf("set %s: %s, %s", s.ID, s.Verdict, s.Why)
		}
	}
}

// fullDisk is a rehearsal that fails.
type fullDisk struct{}

func (fullDisk) Rehearse(context.Context, *holdfast.Set, holdfast.Set, holdfast.Files) error {
	return errors.New("no space left")
}
