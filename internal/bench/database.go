package main

import (
	"context"
	"errors"
	"io"
	"maps"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// ordinary are the settings that a test server is given for speed, put back to
// what initdb and Postgres itself choose.
var ordinary = map[string]string{
	"fsync":           "on",
	"shared_buffers":  "128MB",
	"max_connections": "100",
	"jit":             "on",
	"log_lock_waits":  "off",
}

func startNode(ctx context.Context, o options) (*splicetest.Node, error) {
	settings := maps.Clone(ordinary)
	if o.summaries {
		settings["summarize_wal"] = "on"
	}
	return splicetest.StartNode(ctx, splicetest.NodeOptions{Version: o.postgres, Bytes: o.mb << 20, Settings: settings})
}

// settle leaves the database as a server in use has it: vacuumed, analysed,
// written out, and a little grown since. VACUUM of a table that was filled in
// one go finds gaps in every page of it at once, which new rows then fill all
// over the table; a server in use has filled the old gaps long ago.
func (b *bench) settle(ctx context.Context) error {
	if err := b.sql(ctx, "VACUUM ANALYZE"); err != nil {
		return err
	}
	size, err := b.size(ctx)
	if err != nil {
		return err
	}
	if err := b.node.Grow(ctx, size+size*3/100); err != nil {
		return err
	}
	return b.sql(ctx, "CHECKPOINT")
}

func (b *bench) sql(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, b.node.ParticipantDSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) size(ctx context.Context) (n int64, err error) {
	conn, err := pgx.Connect(ctx, b.node.ParticipantDSN())
	if err != nil {
		return 0, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	err = conn.QueryRow(ctx, "SELECT pg_database_size(current_database())").Scan(&n)
	return n, err
}

// lanes is how many readers Holdfast uses by default on this machine.
func lanes() int { return min(4, runtime.NumCPU()) }

// bareRead reads all rows as binary COPY gives them and throws them away: the
// least that any dump has to do. As many connections as Holdfast has lanes take
// whole tables, the largest first.
func (b *bench) bareRead(ctx context.Context) (sample, error) {
	dsn := b.node.ParticipantDSN()
	began, cpu := time.Now(), ownCPU()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return sample{}, err
	}
	rows, err := conn.Query(ctx,
		`SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY pg_table_size(c.oid) DESC`)
	if err != nil {
		return sample{}, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return sample{}, err
	}
	_ = conn.Close(ctx)
	tables := make(chan string, len(names))
	for _, name := range names {
		tables <- name
	}
	close(tables)
	var wg sync.WaitGroup
	failures := make([]error, lanes())
	for i := range failures {
		wg.Go(func() {
			conn, err := pgx.Connect(ctx, dsn)
			if err != nil {
				failures[i] = err
				return
			}
			defer conn.Close(context.WithoutCancel(ctx))
			for name := range tables {
				if _, err := conn.PgConn().CopyTo(ctx, io.Discard,
					"COPY "+name+" TO STDOUT (FORMAT binary)"); err != nil {
					failures[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return sample{wall: time.Since(began), cpu: ownCPU() - cpu}, errors.Join(failures...)
}

// ownCPU is what this process has used.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
