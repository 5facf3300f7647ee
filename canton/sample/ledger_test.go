package sample_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/canton/sample"
	"holdfast/internal/splicetest"
)

// The databases are taken for those of a node, and whatever is changed in one of their
// rows is found.
func TestRowsFollowFromTheirOffset(t *testing.T) {
	server, err := splicetest.Start(t.Context(), splicetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	kinds := []holdfast.Kind{holdfast.Participant, holdfast.Validator}
	l := sample.Ledger{Name: "rehearsal", Began: time.Now().Truncate(time.Second)}
	conns := map[holdfast.Kind]*pgx.Conn{}
	for _, kind := range kinds {
		if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE "+string(kind)); err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(t.Context(), server.DSN(string(kind)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close(context.Background()) })
		if err := l.Make(t.Context(), conn, kind); err != nil {
			t.Fatal(err)
		}
		conns[kind] = conn
	}
	const updates = 3
	for range updates {
		committed, ingested, err := l.Write(t.Context(), conns[holdfast.Participant], conns[holdfast.Validator])
		if err != nil || !ingested.After(committed) {
			t.Fatalf("committed at %v, ingested at %v: %v", committed, ingested, err)
		}
	}
	var parts []holdfast.Part
	for _, kind := range kinds {
		facts, err := canton.Read(t.Context(), conns[kind], kind)
		if err != nil || facts.Unknown != "" {
			t.Fatalf("%s: %v, %s", kind, err, facts.Unknown)
		}
		parts = append(parts, holdfast.Part{Captured: holdfast.Captured{Component: holdfast.ComponentName(kind), Kind: kind, Facts: facts}})
	}
	if end := parts[0].Facts.Participant.LedgerEnd; end == nil || *end != updates {
		t.Errorf("the ledger ends at %v", end)
	}
	if at := parts[1].Facts.Validator.Stores[0].Offset; at == nil || *at != updates {
		t.Errorf("the validator app is at %v", at)
	}
	if p := holdfast.ProveMembership(parts, nil); p.Verdict != holdfast.Holds {
		t.Errorf("one node: %+v", p)
	}
	for _, c := range []struct {
		kind   holdfast.Kind
		change string
		offset int64
		says   string // "" for rows that are as they have to be
	}{
		{holdfast.Participant, "", updates, ""},
		{holdfast.Validator, "", updates, ""},
		{holdfast.Participant, "", updates - 1, "and was written as"},
		{holdfast.Participant, "UPDATE participant.lapi_update_meta SET record_time = 7 WHERE event_offset = 2", updates,
			"row 2 of lapi_update_meta"},
		{holdfast.Participant, "DELETE FROM participant.lapi_update_meta WHERE event_offset = 3", updates, "has 2 rows, and 3 were written"},
		{holdfast.Participant, "INSERT INTO participant.lapi_update_meta SELECT update_id, 9, 9, 9, 9, 9, 9 FROM participant.lapi_update_meta LIMIT 1",
			updates, "that nobody wrote"},
		{holdfast.Participant, "UPDATE participant.common_node_id SET namespace = 'x'", updates, "row 1 of common_node_id"},
		{holdfast.Validator, `UPDATE validator.user_wallet_txlog_store SET entry_data = '{"amount": "1"}' WHERE entry_number = 3`, updates,
			"row 3 of user_wallet_txlog_store"},
		{holdfast.Validator, "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = ''", updates,
			"row 1 of store_last_ingested_offsets"},
	} {
		tx, err := conns[c.kind].Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), c.change); err != nil {
			t.Fatal(err)
		}
		rows, err := l.Compare(t.Context(), tx.Conn(), c.kind, c.offset)
		if c.says == "" && (err != nil || rows < updates) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s, %q: %d rows, %v; want %q", c.kind, c.change, rows, err, c.says)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
