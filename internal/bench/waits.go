package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// waits measures what a running node feels of a backup: its programs write and
// prune, a session empties a table every few seconds, and now and then one
// alters the largest table.
func (b *bench) waits(ctx context.Context) error {
	if err := b.sql(ctx,
		"CREATE TABLE IF NOT EXISTS participant.bench_emptied AS SELECT g AS id, repeat('x', 200) AS text FROM generate_series(1, 20000) g"); err != nil {
		return err
	}
	r, err := b.newRepository(ctx, "waits", b.node.ParticipantDSN(), b.node.Participant.Version.Bin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	end, err := b.node.LedgerEnd(ctx)
	if err != nil {
		return err
	}
	var background sync.WaitGroup
	failures := make(chan error, 3)
	start := func(what string, run func(context.Context) error) {
		background.Go(func() {
			if err := run(ctx); err != nil && ctx.Err() == nil {
				failures <- fmt.Errorf("%s: %w", what, err)
				cancel()
			}
		})
	}
	// Pruning keeps a little less than there is, so that every second removes
	// what a second has added.
	start("load", func(ctx context.Context) error {
		return b.node.Run(ctx, splicetest.Load{Rate: b.rate, PruneKeep: end * 9 / 10, PruneEvery: time.Second})
	})
	ddl := &altering{}
	start("altering", func(ctx context.Context) error { return ddl.run(ctx, b.node.ParticipantDSN()) })
	watched := &blocked{}
	start("watching", func(ctx context.Context) error { return watched.run(ctx, b.node.ParticipantDSN()) })

	during := func(what string, act func() error) error {
		b.node.ResetWaits()
		ddl.reset()
		watched.reset()
		for began := time.Now(); ; {
			if err := act(); err != nil {
				return err
			}
			if time.Since(began) >= b.waitFor {
				break
			}
		}
		load, alter, behind := b.node.LongestWait(), ddl.longest(), watched.longest()
		b.note("%s: longest statement of the load %v (%s), of TRUNCATE and ALTER %v, longest wait behind the backup %v",
			what, load.Took.Round(time.Millisecond), load.Statement, alter.Round(time.Millisecond),
			behind.Round(time.Millisecond))
		target := atMost(2)
		if what != "backups" {
			target = nil
		}
		b.results.add(what+": longest wait for a lock of the backup (s)", target, behind.Seconds())
		b.results.add(what+": longest TRUNCATE or ALTER TABLE (s)", target, alter.Seconds())
		b.results.add(what+": longest statement of the load (s)", target, load.Took.Seconds())
		return nil
	}
	var gaveWay int
	b.note("waits: %v without a backup, %v with one after another, then pg_dump once", b.waitFor, b.waitFor)
	err = func() error {
		if err := during("no backup", func() error { return sleep(ctx, time.Second) }); err != nil {
			return err
		}
		if err := during("backups", func() error {
			_, capture, err := r.backup(ctx)
			gaveWay += len(capture.Waits)
			return err
		}); err != nil {
			return err
		}
		for _, p := range b.peers {
			if p.name == "pg_dump | zstd -T2" {
				wait := b.waitFor
				b.waitFor = 0 // once
				defer func() { b.waitFor = wait }()
				return during(p.name, func() error {
					_, err := b.measure(ctx, p)
					return err
				})
			}
		}
		return nil
	}()
	cancel()
	background.Wait()
	select {
	case failed := <-failures:
		return failed
	default:
	}
	if err != nil {
		return err
	}
	b.results.add("backups: waits that the manifests record", nil, float64(gaveWay))
	if err := b.sql(context.WithoutCancel(ctx), "DROP TABLE participant.bench_emptied"); err != nil {
		return err
	}
	return r.remove()
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// record keeps the longest of some durations.
type record struct {
	mu   sync.Mutex
	most time.Duration
}

func (l *record) note(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = max(l.most, d)
}

func (l *record) longest() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

func (l *record) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most = 0
}

// altering requests ACCESS EXCLUSIVE, which waits behind a dump: on a small
// table every three seconds, on the largest every fifteen.
type altering struct{ record }

func (a *altering) run(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for i := 0; sleep(ctx, 3*time.Second) == nil; i++ {
		statements := []string{"TRUNCATE participant.bench_emptied"}
		if i%5 == 4 {
			statements = append(statements,
				"ALTER TABLE participant.common_sequenced_events ALTER COLUMN ignore DROP DEFAULT")
		}
		for _, s := range statements {
			began := time.Now()
			if _, err := conn.Exec(ctx, s); err != nil {
				return err
			}
			a.note(time.Since(began))
		}
		if _, err := conn.Exec(ctx,
			"INSERT INTO participant.bench_emptied SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g"); err != nil {
			return err
		}
	}
	return nil
}

// blocked looks, many times a second, for sessions that wait for a lock which a
// session of the backup holds or stands before them for.
type blocked struct{ record }

func (w *blocked) run(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for sleep(ctx, 20*time.Millisecond) == nil {
		var seconds float64
		err := conn.QueryRow(ctx,
			`SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8 FROM pg_locks l
			WHERE NOT l.granted AND l.waitstart IS NOT NULL
			AND EXISTS (SELECT FROM pg_stat_activity a WHERE a.pid = ANY (pg_blocking_pids(l.pid)) AND (a.application_name LIKE 'holdfast%' OR a.application_name = 'pg_dump'))
			AND NOT EXISTS (SELECT FROM pg_stat_activity o WHERE o.pid = l.pid AND (o.application_name LIKE 'holdfast%' OR o.application_name = 'pg_dump'))`).Scan(&seconds)
		if err != nil {
			return err
		}
		w.note(time.Duration(seconds * float64(time.Second)))
	}
	return nil
}
