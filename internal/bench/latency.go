package main

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// latency measures what a session of the node that writes feels: without a backup,
// with sets that take over, and with sets that read everything.
func (b *bench) latency(ctx context.Context) error {
	if err := b.sql(ctx, "CREATE TABLE IF NOT EXISTS participant.bench_written (id bigserial, text text)"); err != nil {
		return err
	}
	r, err := b.newRepository(ctx, "latency", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	if _, _, err := r.backup(ctx); err != nil {
		return err
	}
	stop, err := b.loaded(ctx)
	if err != nil {
		return err
	}
	for range b.rounds {
		quiet, err := b.felt(ctx, "no backup", func() error { return sleep(ctx, time.Second) })
		if err != nil {
			return err
		}
		for _, c := range []struct {
			name  string
			flags []string
		}{{"taken over", nil}, {"all read", []string{"--full"}}} {
			during, err := b.felt(ctx, c.name, func() error {
				_, _, err := r.backup(ctx, c.flags...)
				return err
			})
			if err != nil {
				return err
			}
			b.results.add("sets, "+c.name+": added to the median write (ms)", nil, during.at(0.5)-quiet.at(0.5))
			b.results.add("sets, "+c.name+": added to the slowest hundredth (ms)", nil, during.at(0.99)-quiet.at(0.99))
			b.results.add("sets, "+c.name+": longest write (ms)", atMost(2000), during.at(1))
		}
		b.results.add("no backup: longest write (ms)", nil, quiet.at(1))
	}
	return stop()
}

// felt are how long writes took, in milliseconds, in order.
type felt []float64

func (f felt) at(share float64) float64 { return f[min(len(f)-1, int(share*float64(len(f))))] }

// felt writes a row a hundred times a second while something is done again and
// again, as long as -wait-for says.
func (b *bench) felt(ctx context.Context, what string, act func() error) (felt, error) {
	conn, err := pgx.Connect(ctx, b.node.ParticipantDSN())
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() {
		var err error
		for began := time.Now(); err == nil && time.Since(began) < b.waitFor; {
			err = act()
		}
		done <- err
	}()
	var out felt
	for {
		select {
		case err := <-done:
			slices.Sort(out)
			if err == nil {
				b.note("%s: of %d writes the median took %.2f ms, the longest %.0f", what, len(out), out.at(0.5), out.at(1))
			}
			return out, err
		case <-time.After(10 * time.Millisecond):
			began := time.Now()
			if _, err := conn.Exec(ctx, "INSERT INTO participant.bench_written (text) VALUES (repeat('x', 200))"); err != nil {
				return nil, err
			}
			out = append(out, float64(time.Since(began).Microseconds())/1000)
		}
	}
}
