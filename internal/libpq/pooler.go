package libpq

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

// itself makes sure that a session is one of the server's. A pooler gives its
// clients numbers of its own, so the number that was given with the connection
// is not that of the process which answers; and it keeps what it does not know
// from the server, so the session does not have the settings that were asked
// of it.
func (t Address) itself(ctx context.Context, conn *pgx.Conn) error {
	var pid uint32
	var path string
	row := conn.QueryRow(ctx, "SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('search_path')")
	if err := row.Scan(&pid, &path); err != nil {
		return t.explain(err)
	}
	if pid != conn.PgConn().PID() || path != hardened["search_path"] {
		return t.pooled()
	}
	return nil
}

// refusedByPooler tells that PgBouncer does not pass a setting on. Its errors
// are in English whatever the server speaks.
func refusedByPooler(pg *pgconn.PgError) bool {
	return pg.Code == "08P01" && strings.Contains(pg.Message, "unsupported startup parameter")
}

func (t Address) pooled() error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  t.Where() + " is a connection pooler, not the server",
		Why:   "A backup holds locks and settings in sessions that the pooler gives to the node's programs.",
		Do:    "Name the server itself: the host and port in the pooler's own configuration, usually port 5432.",
	}
}
