package libpq

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

// itself checks that a session belongs to the server. A pooler gives its clients
// process numbers of its own, so the number of the connection is not that of the
// process which answers. It also drops settings that it does not know, so the
// session lacks the requested settings.
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

// refusedByPooler reports whether PgBouncer refused to pass on a setting. Its
// errors are in English, whatever language the server uses.
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
