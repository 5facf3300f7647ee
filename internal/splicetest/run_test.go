package splicetest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// running runs the node until the returned function is called, which gives
// Run's error.
func running(t *testing.T, n *Node, load Load) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx, load) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return stop
}

func TestRunKeepsTheValidatorAppBehindTheParticipant(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		ctx := t.Context()
		n := NewNode(t, NodeOptions{Version: version, App: true, TwoInstances: version == "15"})
		start, err := n.LedgerEnd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		stop := running(t, n, Load{
			Rate:        400,
			IngestDelay: 5 * time.Millisecond,
			PruneKeep:   300,
			PruneEvery:  200 * time.Millisecond,
		})
		pruned, deadline := int64(0), time.Now().Add(2*time.Minute)
		for ledger := start; ledger < start+600 || pruned == 0; {
			if time.Now().After(deadline) {
				t.Fatalf("after two minutes: ledger end %d, pruned %d", ledger, pruned)
			}
			offset, err := n.Ingested(ctx) // read first: the order that proves it
			if err != nil {
				t.Fatal(err)
			}
			if ledger, err = n.LedgerEnd(ctx); err != nil {
				t.Fatal(err)
			}
			if offset > ledger {
				t.Fatalf("ingested %d, ledger end %d", offset, ledger)
			}
			pruned = one[int64](t, n.ParticipantDSN(),
				"select coalesce(participant_pruned_up_to_inclusive, 0) from participant.lapi_parameters")
		}
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		end, err := n.LedgerEnd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Prune(ctx, end+1); err == nil {
			t.Error("pruned what the validator app has not seen")
		}
		pruned = one[int64](t, n.ParticipantDSN(),
			"select participant_pruned_up_to_inclusive from participant.lapi_parameters")
		if err := n.Prune(ctx, pruned); err != nil { // Run may have been stopped in the middle of it
			t.Fatal(err)
		}
		if oldest := one[int64](t, n.ParticipantDSN(),
			"select min(event_offset) from participant.lapi_update_meta"); oldest != pruned+1 {
			t.Errorf("pruned up to %d, oldest update %d", pruned, oldest)
		}
		if active := one[int64](t, n.ParticipantDSN(),
			"select count(*) from participant.par_contracts"); active != end-pruned+40 {
			t.Errorf("%d contracts from %d to %d", active, pruned, end)
		}
		if n.LongestWait().Took == 0 {
			t.Error("no statement took any time")
		}
	})
}

func TestLongestWaitShowsAnothersLock(t *testing.T) {
	ctx := t.Context()
	n := NewNode(t, NodeOptions{})
	stop := running(t, n, Load{Rate: 100})
	time.Sleep(300 * time.Millisecond)
	n.ResetWaits()
	err := execute(ctx, n.ParticipantDSN(),
		"begin; lock table participant.lapi_update_meta in share mode; select pg_sleep(0.7); commit")
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w := n.LongestWait(); w.Statement != "append updates" || w.Took < 300*time.Millisecond {
		t.Errorf("longest wait %+v", w)
	}
}

func TestRunSurvivesACrashOfItsDatabase(t *testing.T) {
	ctx := t.Context()
	n := NewNode(t, NodeOptions{})
	stop := running(t, n, Load{Rate: 200, IngestDelay: time.Millisecond, Reconnect: true})
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		if err := n.Participant.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := n.Participant.Resume(ctx); err != nil {
			t.Fatal(err)
		}
		offset, err := n.Ingested(ctx)
		if err != nil {
			t.Fatal(err)
		}
		end, err := n.LedgerEnd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if offset > end {
			t.Fatalf("after a crash: ingested %d, ledger end %d", offset, end)
		}
	}
	before, _ := n.LedgerEnd(ctx)
	time.Sleep(500 * time.Millisecond)
	if after, _ := n.LedgerEnd(ctx); after <= before {
		t.Errorf("the ledger stays at %d", after)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestRunWithoutReconnectSaysWhatFailed(t *testing.T) {
	n := NewNode(t, NodeOptions{})
	stop := running(t, n, Load{})
	time.Sleep(200 * time.Millisecond)
	if err := n.Participant.Kill(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if err := stop(); err == nil {
		t.Error("no error though the database went away")
	}
}

func TestUpdatesDoNotDependOnTheStepsTheyWereMadeIn(t *testing.T) {
	ctx := t.Context()
	var prints []map[string]string
	for _, cuts := range [][]int64{{0, 3000}, {0, 7, 1234, 3000}} {
		s := NewServer(t, "")
		if err := s.Exec(ctx, "postgres", "create database p"); err != nil {
			t.Fatal(err)
		}
		if err := ParticipantSchema(ctx, s.DSN("p")); err != nil {
			t.Fatal(err)
		}
		for i := range len(cuts) - 1 {
			if err := AppendUpdates(ctx, s.DSN("p"), cuts[i], cuts[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		state, err := Fingerprint(ctx, s.DSN("p"))
		if err != nil {
			t.Fatal(err)
		}
		prints = append(prints, state)
	}
	for name, state := range prints[0] {
		if other := prints[1][name]; other != state &&
			name != "participant.participant_event_publisher_local_offsets" {
			t.Errorf("%s: %s and %s", name, state, other)
		}
	}
}
