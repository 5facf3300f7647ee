package splicetest_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

// A copy of a server under load starts by recovery and has what was committed
// before it and not what was committed after it; the server itself goes on.
func TestACrashCopyIsTheServerAtOneInstant(t *testing.T) {
	n := splicetest.NewNode(t, splicetest.NodeOptions{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, splicetest.Load{Rate: 200}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	time.Sleep(300 * time.Millisecond)

	before, err := n.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := n.Participant.CrashCopy(t.Context(), data); err != nil {
		t.Fatal(err)
	}
	after, err := n.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second, err := splicetest.StartFrom(t.Context(), data, splicetest.Options{Bin: n.Participant.Version.Bin})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	end, err := splicetest.LedgerEnd(t.Context(),
		second.DSNAs(splicetest.DatabaseOwner, splicetest.ParticipantDatabase))
	if err != nil || end < before || end > after {
		t.Errorf("the copy's ledger end is %d, %v; it was %d before and %d after", end, err, before, after)
	}
	time.Sleep(300 * time.Millisecond)
	if now, err := n.LedgerEnd(t.Context()); err != nil || now <= after {
		t.Errorf("the server does not go on: ledger end %d, %v, was %d", now, err, after)
	}
	if !strings.Contains(second.Log(), "redo starts at") {
		t.Error("the copy was started without recovery, so it is not what a crash leaves")
	}
}
