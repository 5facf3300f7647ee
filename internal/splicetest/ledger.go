package splicetest

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
)

var (
	//go:embed sql/append_updates.sql
	appendSQL string
	//go:embed sql/ledger_end.sql
	ledgerEndSQL string
	//go:embed sql/ingest.sql
	ingestSQL string
)

const (
	batch   = 1000 // updates that one transaction appends
	fillers = 2    // connections that append at a time
)

// AppendUpdates appends the updates of offsets from+1 to to to a participant's
// database and moves its ledger end there. The same offset always makes the
// same bytes, whatever the size of the steps.
func AppendUpdates(ctx context.Context, dsn string, from, to int64) error {
	var wg sync.WaitGroup
	failures := make([]error, fillers)
	for worker := range fillers {
		wg.Go(func() { failures[worker] = appendShare(ctx, dsn, from, to, worker) })
	}
	wg.Wait()
	if err := errors.Join(failures...); err != nil {
		return fmt.Errorf("append ledger updates %d to %d: %w", from+1, to, err)
	}
	return withConn(ctx, dsn, func(conn *pgx.Conn) error { return moveLedgerEnd(ctx, conn, to) })
}

// appendShare appends every batch whose turn it is to this worker.
func appendShare(ctx context.Context, dsn string, from, to int64, worker int) error {
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "set synchronous_commit = off"); err != nil {
			return err
		}
		for at := from + int64(worker)*batch; at < to; at += fillers * batch {
			if _, err := conn.Exec(ctx, dated(appendSQL), at, min(at+batch, to), false); err != nil {
				return err
			}
		}
		return nil
	})
}

// moveLedgerEnd commits a ledger end, and with it the number of the next
// contract.
func moveLedgerEnd(ctx context.Context, conn *pgx.Conn, to int64) error {
	if _, err := conn.Exec(ctx, dated(ledgerEndSQL), to); err != nil {
		return fmt.Errorf("move the ledger end to %d: %w", to, err)
	}
	_, err := conn.Exec(ctx,
		"select setval('participant.par_contracts_internal_contract_id_seq', $1), nextval('participant.participant_event_publisher_local_offsets')", max(to, 1))
	return err
}

// LedgerEnd reads a participant's committed ledger end, 0 for an empty ledger.
func LedgerEnd(ctx context.Context, dsn string) (int64, error) {
	var end int64
	err := withConn(ctx, dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select coalesce(ledger_end, 0) from participant.lapi_parameters").Scan(&end)
	})
	return end, err
}

// Fill appends updates to a participant's database until the database has at
// least that many bytes, indexes included, and gathers its statistics. It
// returns the ledger end.
func Fill(ctx context.Context, dsn string, bytes int64) (int64, error) {
	end, err := LedgerEnd(ctx, dsn)
	if err != nil {
		return 0, err
	}
	for {
		size, err := databaseSize(ctx, dsn)
		if err != nil {
			return end, err
		}
		if size >= bytes {
			return end, execute(ctx, dsn, "analyze")
		}
		// An update takes about ten kilobytes; what is missing is measured again.
		steps := max(batch/4, min((bytes-size)/10000, 50*batch))
		if err := AppendUpdates(ctx, dsn, end, end+steps); err != nil {
			return end, err
		}
		end += steps
	}
}

func databaseSize(ctx context.Context, dsn string) (int64, error) {
	var size int64
	err := withConn(ctx, dsn, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "select pg_database_size(current_database())").Scan(&size)
	})
	return size, err
}

// EncodeOffset writes an offset as the validator app does: nine bytes in
// hexadecimal, the first of them zero.
func EncodeOffset(offset int64) string { return fmt.Sprintf("%018x", offset) }

// ingest brings the validator app's stores from one offset to another, and
// commits how far they are, in one transaction.
func ingest(ctx context.Context, conn *pgx.Conn, party string, from, to int64) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, dated(ingestSQL), from, to, party); err != nil {
			return fmt.Errorf("ingest updates %d to %d: %w", from+1, to, err)
		}
		_, err := tx.Exec(ctx,
			"update validator.store_last_ingested_offsets set last_ingested_offset = $1 where store_id in (2, 4, 5) and migration_id = 0", EncodeOffset(to))
		return err
	})
}

// withConn lends a connection of its own.
func withConn(ctx context.Context, dsn string, use func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return use(conn)
}
