package endtoend

import (
	"context"
	"os"
	"testing"

	"holdfast"
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
