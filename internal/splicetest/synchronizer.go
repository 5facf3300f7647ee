package splicetest

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// progressSQL moves the progress of a participant to a time, in microseconds
// since 1970.
const progressSQL = `with records as (update participant.lapi_ledger_end_synchronizer_index set record_time = $1, sequencer_timestamp = $1),
	heads as (update participant.common_head_sequencer_counters set ts = $1)
	update participant.lapi_parameters set ledger_end_publication_time = $1`

// Come moves the participant's progress in network time to so long before now:
// 0 for one that follows the network, days for one that was away. Its ledger
// stays as it is. The database may be a copy of the node's.
func Come(ctx context.Context, dsn string, microsAgo int64) error {
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		var now int64
		if err := conn.QueryRow(ctx,
			"select (extract(epoch from clock_timestamp()) * 1000000)::bigint").Scan(&now); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, progressSQL, now-microsAgo)
		return err
	})
}

// CrossOver takes the participant over a logical synchronizer upgrade: the
// connection to the old physical synchronizer stays in the database, inactive,
// next to the one to its successor, whose serial is one more.
func (n *Node) CrossOver(ctx context.Context, dsn string, from int) error {
	old, successor := fmt.Sprintf("%s::35-%d", n.Synchronizer, from), fmt.Sprintf("%s::35-%d", n.Synchronizer, from+1)
	return withConn(ctx, dsn, func(conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			for _, sql := range []string{
				"update participant.par_synchronizer_connection_configs set status = 'I' where physical_synchronizer_id = $1",
				"insert into participant.par_registered_synchronizers select $2, synchronizer_alias from participant.par_registered_synchronizers where physical_synchronizer_id = $1",
				`insert into participant.par_synchronizer_connection_configs (synchronizer_alias, physical_synchronizer_id, config, status, synchronizer_predecessor)
					select synchronizer_alias, $2, config, 'A', convert_to($1, 'UTF8') from participant.par_synchronizer_connection_configs where physical_synchronizer_id = $1`,
				"insert into participant.common_static_strings (string, source) select $2, source from participant.common_static_strings where string = $1",
			} {
				args := []any{old, successor}
				if sql[:6] == "update" {
					args = args[:1]
				}
				if _, err := tx.Exec(ctx, sql, args...); err != nil {
					return fmt.Errorf("cross over to serial %d: %w", from+1, err)
				}
			}
			return nil
		})
	})
}
