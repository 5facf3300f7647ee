package sample

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

var (
	//go:embed sql/participant.sql
	participantSQL string
	//go:embed sql/validator.sql
	validatorSQL string
)

// Ledger is what is written to the two databases.
type Ledger struct {
	Name  string    // the participant's, within its id
	Began time.Time // the time of offset 0
	// Offset is the newest one that both databases have.
	Offset int64
}

func digestOf(format string, args ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, format, args...))
	return "1220" + hex.EncodeToString(sum[:])
}

func (l Ledger) namespace() string { return digestOf("namespace of %s", l.Name) }

// Participant is the participant's id.
func (l Ledger) Participant() string { return l.Name + "::" + l.namespace() }

func synchronizer() string { return "global-domain::" + digestOf("synchronizer") }

// at is the record time of an offset: updates are a second apart.
func (l Ledger) at(offset int64) int64 {
	return l.Began.Add(time.Duration(offset) * time.Second).UnixMicro()
}

func update(offset int64) string { return digestOf("update %d", offset) }

// text is an offset as the validator app writes it.
func text(offset int64) string { return fmt.Sprintf("%018x", offset) }

// Make makes the tables of a component, with what a node has before its first update.
func (l Ledger) Make(ctx context.Context, conn *pgx.Conn, kind holdfast.Kind) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if kind == holdfast.Participant {
			return run(ctx, tx,
				statement{participantSQL, nil},
				statement{`INSERT INTO participant.common_node_id VALUES ($1, $2)`, []any{l.Name, l.namespace()}},
				statement{
					`INSERT INTO participant.lapi_parameters (participant_id, ledger_end) VALUES ($1, 0)`,
					[]any{l.Participant()},
				},
				statement{`INSERT INTO participant.lapi_string_interning VALUES (1, $1)`, []any{"d|" + synchronizer()}})
		}
		descriptor := fmt.Sprintf(`{"name": "DbValidatorStore", "version": 2, "party": "%s::%s", "participant": "PAR::%s"}`,
			l.Name, l.namespace(), l.Participant())
		return run(ctx, tx,
			statement{validatorSQL, nil},
			statement{`INSERT INTO validator.store_descriptors (descriptor) VALUES ($1::text::jsonb)`, []any{descriptor}},
			statement{`INSERT INTO validator.store_last_ingested_offsets VALUES (1, 0, '')`, nil})
	})
}

type statement struct {
	sql  string
	args []any
}

func run(ctx context.Context, tx pgx.Tx, list ...statement) error {
	for _, s := range list {
		if _, err := tx.Exec(ctx, s.sql, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// Write commits one update to the participant's database and then has the validator
// app's ingest it. It returns when each was written, by the server's clock.
func (l *Ledger) Write(
	ctx context.Context, participant, validator *pgx.Conn,
) (committed, ingested time.Time, err error) {
	n := l.Offset + 1
	write := func(conn *pgx.Conn, sql string, args ...any) (at time.Time, err error) {
		err = conn.QueryRow(ctx, sql, args...).Scan(&at)
		return at, err
	}
	if committed, err = write(participant, `
		WITH entry AS (
			INSERT INTO participant.lapi_update_meta (update_id, event_offset, publication_time, record_time, synchronizer_id,
				event_sequential_id_first, event_sequential_id_last)
			VALUES (decode($1::text, 'hex'), $2::bigint, $3::bigint, $3::bigint, 1, 2 * $2::bigint, 2 * $2::bigint + 1)
		), parameters AS (
			UPDATE participant.lapi_parameters SET ledger_end = $2::bigint, ledger_end_sequential_id = 2 * $2::bigint + 1,
				ledger_end_publication_time = $3::bigint
		)
		SELECT clock_timestamp()`, update(n), n, l.at(n)); err != nil {
		return committed, ingested, err
	}
	if ingested, err = write(validator, `
		WITH entry AS (
			INSERT INTO validator.user_wallet_txlog_store (store_id, migration_id, transaction_offset, record_time, domain_id,
				entry_type, entry_data, event_id)
			VALUES (1, 0, $1::text, $2::bigint, 'global-domain', 'transfer', jsonb_build_object('amount', $3::text), $4::text)
		), place AS (
			UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = $1::text WHERE store_id = 1
		)
		SELECT clock_timestamp()`, text(n), l.at(n), amount(n), update(n)+":0"); err != nil {
		return committed, ingested, err
	}
	l.Offset = n
	return committed, ingested, nil
}

func amount(offset int64) string { return fmt.Sprintf("%d.%010d", offset*7, offset) }

// Compare reads all rows of a component's database and compares each with what it has
// to be at an offset. It returns how many it read. An error names the first that
// differs.
func (l Ledger) Compare(ctx context.Context, conn *pgx.Conn, kind holdfast.Kind, offset int64) (rows int64, err error) {
	for _, table := range l.tables(kind, offset) {
		n, err := table.compare(ctx, conn)
		if rows += n; err != nil {
			return rows, err
		}
	}
	return rows, nil
}

// rowsOf are the rows that a table has to have, as text, in order.
type rowsOf struct {
	table string
	query string
	want  []string
}

// tables are those of a component with all their rows at an offset.
func (l Ledger) tables(kind holdfast.Kind, offset int64) []rowsOf {
	var updates, entries []string
	for n := int64(1); n <= offset; n++ {
		updates = append(updates, fmt.Sprintf("%s|%d|%d|%d|1|%d|%d", update(n), n, l.at(n), l.at(n), 2*n, 2*n+1))
		entries = append(entries, fmt.Sprintf("%d|1|0|%s|%d|global-domain|transfer|%s|%s:0",
			n, text(n), l.at(n), amount(n), update(n)))
	}
	if kind == holdfast.Participant {
		return []rowsOf{
			{"common_node_id", `identifier, namespace FROM participant.common_node_id`, []string{l.Name + "|" + l.namespace()}},
			{"lapi_parameters", `participant_id, ledger_end, ledger_end_sequential_id, ledger_end_publication_time
				FROM participant.lapi_parameters`, []string{
				fmt.Sprintf("%s|%d|%d|%d", l.Participant(), offset, 2*offset+1, l.at(offset)),
			}},
			{"lapi_string_interning", `internal_id, external_string FROM participant.lapi_string_interning`, []string{
				"1|d|" + synchronizer(),
			}},
			{"lapi_update_meta", `encode(update_id, 'hex'), event_offset, publication_time, record_time, synchronizer_id,
				event_sequential_id_first, event_sequential_id_last FROM participant.lapi_update_meta ORDER BY event_offset`, updates},
		}
	}
	return []rowsOf{
		{"store_descriptors", `id, descriptor->>'name', descriptor->>'participant' FROM validator.store_descriptors`,
			[]string{"1|DbValidatorStore|PAR::" + l.Participant()}},
		{"store_last_ingested_offsets", `store_id, migration_id, last_ingested_offset FROM validator.store_last_ingested_offsets`,
			[]string{"1|0|" + text(offset)}},
		{"user_wallet_txlog_store", `entry_number, store_id, migration_id, transaction_offset, record_time, domain_id, entry_type,
			entry_data->>'amount', event_id FROM validator.user_wallet_txlog_store ORDER BY entry_number`, entries},
	}
}

func (r rowsOf) compare(ctx context.Context, conn *pgx.Conn) (n int64, err error) {
	rows, err := conn.Query(ctx, "SELECT "+r.query)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for ; rows.Next(); n++ {
		values, err := rows.Values()
		if err != nil {
			return n, err
		}
		got := ""
		for i, v := range values {
			if i > 0 {
				got += "|"
			}
			got += fmt.Sprint(v)
		}
		switch {
		case n >= int64(len(r.want)):
			return n, fmt.Errorf("%s has a row that nobody wrote before the snapshot: %s", r.table, got)
		case got != r.want[n]:
			return n, fmt.Errorf("row %d of %s is %s, and was written as %s", n+1, r.table, got, r.want[n])
		}
	}
	if err := rows.Err(); err != nil {
		return n, err
	}
	if n < int64(len(r.want)) {
		return n, fmt.Errorf("%s has %d rows, and %d were written", r.table, n, len(r.want))
	}
	return n, nil
}
