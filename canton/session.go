package canton

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// Session is somebody connected to a database.
type Session struct {
	PID         int       `json:"pid"`
	Database    string    `json:"database"`
	User        string    `json:"user"`
	Application string    `json:"application"`
	From        string    `json:"from"` // an address, or OwnSocket
	Since       time.Time `json:"since"`
	// Program is the one whose lock the session holds: which participant or app
	// is alive on the database, wherever it runs. "" for a session without one.
	Program holdfast.Kind `json:"program,omitempty"`
}

// OwnSocket is where a session comes from that needs no network.
const OwnSocket = "this machine"

func (s Session) String() string {
	name := s.Application
	if s.Program != "" {
		name = "a live " + string(s.Program)
	}
	if name == "" {
		name = "an unnamed program"
	}
	return fmt.Sprintf("%s (pid %d, user %s, from %s)", name, s.PID, s.User, s.From)
}

// Alive says in words who of the sessions are alive on a database: programs that
// hold its lock by themselves, others by their number.
func Alive(list []Session) (out []string) {
	others := 0
	for _, s := range list {
		if s.Program != "" {
			out = append(out, s.String())
		} else {
			others++
		}
	}
	switch {
	case others == 1:
		out = append(out, "1 other session")
	case others > 1:
		out = append(out, fmt.Sprintf("%d other sessions", others))
	}
	return out
}

// Ours reports whether a session is one of Holdfast itself.
func (s Session) Ours() bool { return strings.HasPrefix(s.Application, "holdfast") }

// programs are the kinds by the last byte of their locks' numbers: the counter
// less one (Canton: DbLockCounters.scala, Splice: SpliceDbLockCounters.scala).
var programs = map[int]holdfast.Kind{
	0: holdfast.Participant, 38: holdfast.Participant,
	99: holdfast.Validator, 100: holdfast.Validator,
	101: holdfast.SV, 102: holdfast.SV,
	103: holdfast.Scan, 104: holdfast.Scan,
}

// Sessions lists who is connected to databases of a server. A connection to any
// of its databases shows all of them.
func Sessions(ctx context.Context, q Querier, databases ...string) ([]Session, error) {
	// Numbers of Canton's locks have bit 29, in the form of one 64-bit number
	// (Canton: DbLock.scala).
	rows, err := q.Query(ctx, `SELECT a.pid, a.datname::text, coalesce(a.usename::text, ''), coalesce(a.application_name, ''),
			coalesce(host(a.client_addr), $2), coalesce(a.backend_start, now()), coalesce(l.last, -1)
		FROM pg_stat_activity a LEFT JOIN (SELECT pid, database, min(objid::bigint & 255)::int AS last FROM pg_locks
			WHERE locktype = 'advisory' AND granted AND classid::bigint = 0 AND objsubid = 1 AND objid::bigint & (1 << 29) <> 0
			GROUP BY pid, database) l ON l.pid = a.pid AND l.database = a.datid
		WHERE a.datname = ANY ($1) AND a.pid <> pg_backend_pid() AND coalesce(a.backend_type, 'client backend') = 'client backend'
		ORDER BY a.pid`, databases, OwnSocket)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Session, err error) {
		var last int
		err = row.Scan(&s.PID, &s.Database, &s.User, &s.Application, &s.From, &s.Since, &last)
		s.Program = programs[last]
		return s, err
	})
}
