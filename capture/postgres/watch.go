package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/event"
)

// watcher looks for sessions that wait behind the locks of a dump.
type watcher struct {
	conn        *pgx.Conn
	component   holdfast.ComponentName
	events      event.Listener
	application string        // ours, by which our sessions are known
	limit       time.Duration // the longest anybody may wait
	interval    time.Duration

	mu    sync.Mutex
	waits map[string]holdfast.Wait
}

// givingWay ends a dump whose locks another session has waited for too long.
type givingWay struct{ wait holdfast.Wait }

func (g *givingWay) Error() string {
	return fmt.Sprintf("gave way: session %d waited %v for %s on %s", g.wait.PID,
		g.wait.Waited.Round(time.Millisecond), g.wait.Mode, g.wait.Relation)
}

// run returns nil when the locks are back, and a givingWay when another session has
// waited for as long as the limit. The session is in use until it returns, and good
// for others then, unless ctx has ended. Only ACCESS EXCLUSIVE conflicts with what we
// hold, so whoever waits for less waits for us only if it stands behind such a
// request. pg_locks shows every session's waits to every user; only its
// application's name has to be our own, which it is.
func (w *watcher) run(ctx context.Context, back <-chan struct{}) error {
	tick := time.NewTicker(w.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-back:
			return nil
		case <-tick.C:
		}
		rows, err := w.conn.Query(ctx, `
			WITH us AS (SELECT pid FROM pg_stat_activity WHERE application_name = $1),
			     held AS (SELECT DISTINCT relation FROM pg_locks WHERE granted AND locktype = 'relation' AND pid IN (SELECT pid FROM us)
			              AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
			SELECT l.pid, l.relation::regclass::text, l.mode, coalesce(extract(epoch FROM clock_timestamp() - l.waitstart), 0)::float8
			FROM pg_locks l JOIN held h ON h.relation = l.relation
			WHERE NOT l.granted AND l.locktype = 'relation' AND l.pid NOT IN (SELECT pid FROM us)
			  AND (l.mode = 'AccessExclusiveLock' OR EXISTS (SELECT FROM pg_locks x WHERE NOT x.granted AND x.locktype = 'relation'
			       AND x.mode = 'AccessExclusiveLock' AND x.database = l.database AND x.relation = l.relation AND x.waitstart < l.waitstart))
			  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, w.application)
		if err != nil {
			return ignoreCancel(ctx, err)
		}
		var longest holdfast.Wait
		var seen holdfast.Wait
		var seconds float64
		if _, err := pgx.ForEachRow(rows, []any{&seen.PID, &seen.Relation, &seen.Mode, &seconds}, func() error {
			seen.Waited = time.Duration(seconds * float64(time.Second))
			w.note(seen)
			if seen.Waited > longest.Waited {
				longest = seen
			}
			return nil
		}); err != nil {
			return ignoreCancel(ctx, err)
		}
		if longest.Waited >= w.limit {
			return &givingWay{longest}
		}
	}
}

func ignoreCancel(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch for sessions that wait: %w", err)
}

// note keeps the longest wait of each session and table, and reports the first.
func (w *watcher) note(s holdfast.Wait) {
	if w.isNew(s) {
		w.events.Report(SessionWaits{Component: w.component, Wait: s})
	}
}

func (w *watcher) isNew(s holdfast.Wait) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waits == nil {
		w.waits = map[string]holdfast.Wait{}
	}
	key := fmt.Sprintf("%d %s", s.PID, s.Relation)
	before, known := w.waits[key]
	if !known || before.Waited < s.Waited {
		w.waits[key] = s
	}
	return !known
}

// caused returns the longest wait of each session and table.
func (w *watcher) caused() []holdfast.Wait {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []holdfast.Wait
	for _, s := range w.waits {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b holdfast.Wait) int {
		return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.Relation, b.Relation))
	})
	return out
}
