package splicetest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Load says how a node's programs behave while it runs. The zero value writes
// ten updates a second, never prunes and ends with the first error.
type Load struct {
	Rate        float64       // ledger updates a second; 0 for 10
	IngestDelay time.Duration // from an update's commit to the validator app's reading on; 0 for 100 ms
	PruneKeep   int64         // offsets that pruning leaves; 0 never prunes
	PruneEvery  time.Duration // 0 for a second
	Reconnect   bool          // connect again when a database goes away, as the programs do
}

// Run plays the node's programs until the context ends: the participant writes
// updates and prunes old ones, the validator app ingests what the participant
// has committed, the application follows. What the validator app has committed
// never exceeds the ledger end that the participant has committed.
func (n *Node) Run(ctx context.Context, load Load) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	programs := map[string]func(context.Context) error{
		"participant":   func(ctx context.Context) error { return n.writeUpdates(ctx, load) },
		"validator app": func(ctx context.Context) error { return n.followLedger(ctx, load) },
	}
	if load.PruneKeep > 0 {
		programs["pruning"] = func(ctx context.Context) error { return n.pruneOften(ctx, load) }
	}
	if n.options.App {
		programs["application"] = n.writeOrders
	}
	var wg sync.WaitGroup
	failures := make(chan error, len(programs))
	for name, program := range programs {
		wg.Go(func() {
			for ctx.Err() == nil {
				err := program(ctx)
				if ctx.Err() != nil {
					return
				}
				if !load.Reconnect {
					failures <- fmt.Errorf("run the node: %s: %w", name, err)
					cancel()
					return
				}
				pause(ctx, 100*time.Millisecond)
			}
		})
	}
	wg.Wait()
	close(failures)
	return <-failures
}

// writeUpdates is the participant: every step commits its updates, the ledger
// end that counts them, and the requests of the step before.
func (n *Node) writeUpdates(ctx context.Context, load Load) error {
	rate := load.Rate
	if rate <= 0 {
		rate = 10
	}
	step := max(20*time.Millisecond, time.Duration(float64(time.Second)/rate))
	return withConn(ctx, n.ParticipantDSN(), func(conn *pgx.Conn) error {
		var end int64
		if err := conn.QueryRow(ctx,
			"select coalesce(ledger_end, 0) from participant.lapi_parameters").Scan(&end); err != nil {
			return err
		}
		began, written := time.Now(), int64(0)
		for pause(ctx, step) {
			due := int64(time.Since(began).Seconds()*rate) - written
			if due <= 0 {
				continue
			}
			next := end + min(due, batch)
			err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return n.writeStep(ctx, tx, end, next) })
			if err != nil {
				return err
			}
			written += next - end
			end = next
		}
		return ctx.Err()
	})
}

func (n *Node) writeStep(ctx context.Context, tx pgx.Tx, end, next int64) error {
	for _, s := range []struct {
		name, sql string
		args      []any
	}{
		{"synchronous commit", "set local synchronous_commit = on", nil},
		{"commit requests",
			`update participant.par_journal_requests set request_state_index = 2, commit_time = request_timestamp + 200000
			where physical_synchronizer_idx = 5 and request_counter > $1 - 1000 and request_counter <= $1 and request_state_index <> 2`, []any{end}},
		{"append updates", dated(appendSQL), []any{end, next, true}},
		{"offsets of events",
			"select nextval('participant.participant_event_publisher_local_offsets'), setval('participant.par_contracts_internal_contract_id_seq', $1)", []any{next}},
		{"ledger end", dated(ledgerEndSQL), []any{next}},
	} {
		if err := n.timed(ctx, tx, s.name, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// followLedger is the validator app: it reads the ledger end that the
// participant has committed and, a little later, commits what it ingested up
// to there.
func (n *Node) followLedger(ctx context.Context, load Load) error {
	delay := load.IngestDelay
	if delay <= 0 {
		delay = 100 * time.Millisecond
	}
	return withConn(ctx, n.ParticipantDSN(), func(ledger *pgx.Conn) error {
		return withConn(ctx, n.ValidatorDSN(), func(conn *pgx.Conn) error {
			from, err := ingested(ctx, conn)
			if err != nil {
				return err
			}
			for ctx.Err() == nil {
				var end int64
				if err := ledger.QueryRow(ctx,
					"select coalesce(ledger_end, 0) from participant.lapi_parameters").Scan(&end); err != nil {
					return err
				}
				pause(ctx, delay)
				if end <= from {
					continue
				}
				began := time.Now()
				if err := ingest(ctx, conn, n.Party, from, end); err != nil {
					return err
				}
				n.note("ingest", began)
				from = end
			}
			return ctx.Err()
		})
	})
}

// writeOrders is the application: an order a step, and how far it has followed
// the ledger.
func (n *Node) writeOrders(ctx context.Context) error {
	return withConn(ctx, n.AppDSN(), func(conn *pgx.Conn) error {
		for pause(ctx, 200*time.Millisecond) {
			end, err := n.LedgerEnd(ctx)
			if err != nil {
				return err
			}
			err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
				if err := n.timed(ctx, tx, "order",
					`insert into projections."Orders.2026-Q1" (account, "select", amount)
					select id, 'live', 1.5 from projections.accounts limit 1`); err != nil {
					return err
				}
				return n.timed(ctx, tx, "checkpoint",
					"update projections.checkpoints set ledger_offset = $1, updated_at = now() where projection = 'orders'", end)
			})
			if err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// pause waits, and reports whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
