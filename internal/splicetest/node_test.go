package splicetest

import (
	"testing"
)

func TestNodeIsConsistentOnEveryVersion(t *testing.T) {
	EachVersion(t, func(t *testing.T, version string) {
		ctx := t.Context()
		n := NewNode(t, NodeOptions{Version: version, Bytes: 25 << 20, App: true, TwoInstances: version == "15"})
		end, err := n.LedgerEnd(ctx)
		if err != nil {
			t.Fatal(err)
		}
		offset, err := n.Ingested(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if end < 100 || offset != end-2 {
			t.Errorf("ledger end %d, ingested %d", end, offset)
		}
		if got := one[string](t, n.ParticipantDSN(),
			"select participant_id from participant.lapi_parameters"); got != n.Identities.ParticipantID {
			t.Errorf("participant %s in the database, %s in the identities", got, n.Identities.ParticipantID)
		}
		if got := one[string](t, n.ParticipantDSN(),
			`select substr(s.external_string, 3) from participant.lapi_ledger_end_synchronizer_index x
			join participant.lapi_string_interning s on s.internal_id = x.synchronizer_id where left(s.external_string, 2) = 'd|'`); got != n.Synchronizer {
			t.Errorf("synchronizer %s in the database, want %s", got, n.Synchronizer)
		}
		if got := one[string](t, n.ValidatorDSN(),
			"select distinct descriptor->>'participant' from validator.store_descriptors"); got != "PAR::"+
			n.Identities.ParticipantID {
			t.Errorf("participant %s in the validator app's stores", got)
		}
		if size := one[int64](t, n.ParticipantDSN(), "select pg_database_size(current_database())"); size < 25<<20 {
			t.Errorf("%d bytes, want at least 25 MB", size)
		}
		if got := one[string](t, n.ParticipantDSN(),
			"select participant_id from debug.node_summary"); got != n.Identities.ParticipantID {
			t.Errorf("the debug views name participant %s", got)
		}
	})
}
