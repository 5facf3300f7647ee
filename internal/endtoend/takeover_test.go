package endtoend

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"holdfast"
	"holdfast/backup"
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

// Sets that take over what stayed are sets like others: proven, read back, found
// whole by verify, and restored equal, also when the sets they took from are gone.
func TestSetsThatTakeOver(t *testing.T) {
	b := durableBed(t)
	first := b.backup(t)
	for range 3 {
		execute(t, b.ParticipantDSN(), "UPDATE participant.archive SET t = md5(t) || substr(t, 33) WHERE i % 9000 = 7")
		if share := shares(t, b.backup(t)); share < 0.4 {
			t.Errorf("%.2f of the rows were taken over", share)
		}
	}
	last := b.backup(t)
	if share := shares(t, last); share < 0.6 || shares(t, first) != 0 {
		t.Errorf("nothing changed: %.2f of the rows were taken over", share)
	}
	if err := b.Repository.Drop(t.Context(), b.parts.Node.Name, func(context.Context) ([]holdfast.SetID, error) {
		return []holdfast.SetID{first.ID}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if report, err := verified(t, b.At, verify.Request{Level: verify.Data}); err != nil || report.Verdict != holdfast.Holds {
		t.Fatalf("verify: %v, %+v", err, report.Findings)
	}
	want, err := splicetest.Fingerprint(t.Context(), b.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	execute(t, b.ParticipantDSN(), "DROP TABLE participant.archive")
	b.mustRestore(t, last.ID, restore.Options{})
	got, err := splicetest.Fingerprint(t.Context(), b.ParticipantDSN())
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
}

func (d doubting) Capture(
	ctx context.Context, c holdfast.Component, clock holdfast.Clock, out holdfast.Sink, _ holdfast.Earlier,
) (holdfast.Capture, error) {
	capture, err := d.Source.Capture(ctx, c, clock, out, holdfast.Earlier{})
	capture.Disproof = &d.found
	return capture, err
}

// Rows that changed unseen are remembered also where the set that found them came
// to nothing, and name the sets that may have them wrong.
func TestRowsThatChangedUnseenAreRemembered(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	began := time.Now()
	doubtful := b.backup(t)
	job := b.job()
	from := job.Sources["participant"]
	job.Sources["participant"] = doubting{from, holdfast.Disproof{Table: "par_contracts", ReadAt: began}}
	set, err := job.Run(t.Context())
	says(t, err, holdfast.Violation)
	if set.State != holdfast.Proven {
		t.Errorf("the set that read everything is %s", set.State)
	}
	job.Sources["participant"] = doubting{from, holdfast.Disproof{Table: "par_contracts", ReadAt: time.Now()}}
	job.Rehearsal = fullDisk{}
	if _, err := job.Run(t.Context()); err == nil {
		t.Fatal("the set was stored")
	}
	list, err := b.Repository.Disproofs(t.Context(), b.parts.Node.Name)
	if err != nil || len(list) != 2 || list[0].Set != set.ID || list[0].Component != "participant" {
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
