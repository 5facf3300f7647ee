package splicetest

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// pruning are the statements that remove what lies at or before offset $1, in
// the order of a participant: each commits on its own. A contract is archived
// 40 updates after its creation, so the youngest 40 are still active.
var pruning = []struct{ name, sql string }{
	{"prune deactivations", "delete from participant.lapi_events_deactivate_contract where event_offset <= $1"},
	{"prune activations", "delete from participant.lapi_events_activate_contract where event_offset <= $1 - 40"},
	{"prune witnessed events", "delete from participant.lapi_events_various_witnessed where event_offset <= $1"},
	{"prune filters of activations",
		"delete from participant.lapi_filter_activate_stakeholder where event_sequential_id <= 2 * ($1 - 40)"},
	{"prune filters of deactivations",
		"delete from participant.lapi_filter_deactivate_stakeholder where event_sequential_id <= 2 * $1 + 1"},
	{"prune filters of witnesses",
		"delete from participant.lapi_filter_various_witness where event_sequential_id <= 2 * $1 + 1"},
	{"prune update metadata", "delete from participant.lapi_update_meta where event_offset <= $1"},
	{"prune completions", "delete from participant.lapi_command_completions where completion_offset <= $1"},
	{"prune sequenced events",
		"delete from participant.common_sequenced_events where physical_synchronizer_idx = 5 and sequencer_counter <= $1"},
	{"prune requests",
		"delete from participant.par_journal_requests where physical_synchronizer_idx = 5 and request_counter <= $1"},
	{"prune archived contracts", `delete from participant.par_active_contracts where synchronizer_idx = 1
		and ts <= 1760000000000000 + case change when 'activation' then $1::bigint - 40 else $1 end * 700000`},
	{"prune contracts", "delete from participant.par_contracts where internal_contract_id <= $1 - 40"},
	{"prune commitments",
		"delete from participant.par_computed_acs_commitments where synchronizer_idx = 1 and to_inclusive <= 1760000000000000 + $1::bigint * 700000"},
	{"pruned active contracts",
		`insert into participant.par_active_contract_pruning values (1, 'completed', 1760000000000000 + $1::bigint * 700000, 1760000000000000 + $1::bigint * 700000)
		on conflict (synchronizer_idx) do update set phase = excluded.phase, ts = excluded.ts, succeeded = excluded.succeeded`},
}

// Prune removes the participant's updates up to an offset, which it first
// declares pruned: it is refused beyond what the validator app has ingested.
func (n *Node) Prune(ctx context.Context, upTo int64) error {
	return withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error { return n.prune(ctx, conn, upTo) })
}

func (n *Node) prune(ctx context.Context, conn *pgx.Conn, upTo int64) error {
	seen, err := n.Ingested(ctx)
	if err != nil {
		return err
	}
	if upTo > seen {
		return fmt.Errorf("prune up to %d: the validator app has ingested %d", upTo, seen)
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := n.timed(ctx, tx, "begin pruning",
			`insert into participant.par_pruning_operation (name, started_up_to_inclusive) values ('', $1)
			on conflict (name) do update set started_up_to_inclusive = excluded.started_up_to_inclusive`,
			upTo); err != nil {
			return err
		}
		return n.timed(ctx, tx, "declare pruned",
			"update participant.lapi_parameters set participant_pruned_up_to_inclusive = $1", upTo)
	})
	if err != nil {
		return err
	}
	for _, step := range pruning {
		if err := n.timed(ctx, conn, step.name, dated(step.sql), upTo); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return n.timed(ctx, conn, "end pruning",
		"update participant.par_pruning_operation set completed_up_to_inclusive = $1 where name = ''", upTo)
}

// pruneOften prunes all but the newest offsets, again and again.
func (n *Node) pruneOften(ctx context.Context, load Load) error {
	every := load.PruneEvery
	if every <= 0 {
		every = time.Second
	}
	return withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error {
		for pause(ctx, every) {
			var end, pruned int64
			if err := conn.QueryRow(ctx,
				"select coalesce(ledger_end, 0), coalesce(participant_pruned_up_to_inclusive, 0) from participant.lapi_parameters").Scan(&end, &pruned); err != nil {
				return err
			}
			seen, err := n.Ingested(ctx)
			if err != nil {
				return err
			}
			if upTo := min(end-load.PruneKeep, seen); upTo > pruned {
				if err := n.prune(ctx, conn, upTo); err != nil {
					return err
				}
			}
		}
		return ctx.Err()
	})
}

// Turn appends so many updates and prunes as many of the oldest, as a node does
// that has reached its size.
func (n *Node) Turn(ctx context.Context, updates int64) error {
	end, err := n.LedgerEnd(ctx)
	if err != nil {
		return err
	}
	if err := AppendUpdates(ctx, n.ParticipantDSN(), end, end+updates); err != nil {
		return err
	}
	if err := n.ingestTo(ctx, end+updates-2); err != nil {
		return err
	}
	var pruned int64
	if err := withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx,
			"select coalesce(participant_pruned_up_to_inclusive, 0) from participant.lapi_parameters").Scan(&pruned)
	}); err != nil {
		return err
	}
	return n.Prune(ctx, pruned+updates)
}
