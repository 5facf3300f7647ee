package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
)

// sets measures a first set against a bare read and against the peers, and the
// next set, after the database has grown, against a bare read.
func (b *bench) sets(ctx context.Context) error {
	tools := clientsOf(b)
	for round := range b.rounds {
		size, err := b.size(ctx)
		if err != nil {
			return err
		}
		b.note("round %d: the database has %d MiB", round+1, size>>20)
		bare, err := b.bare(ctx)
		if err != nil {
			return err
		}
		r, err := b.newRepository(ctx, "sets", b.node.ParticipantDSN(), tools)
		if err != nil {
			return err
		}
		var read int64
		first, err := b.measured(ctx, func(ctx context.Context) (sample, error) {
			s, capture, err := r.backup(ctx)
			read = capture.Bytes
			return s, err
		})
		if err != nil {
			return err
		}
		b.noteSample("holdfast, first set", first)
		b.note("  %.2f of the bare read; %d MiB of rows, %d MiB stored", ratio(first.wall, bare.wall), read>>20,
			first.stored>>20)
		b.results.add("first set / bare read", atMost(2.0), ratio(first.wall, bare.wall))
		b.results.sample("holdfast backup, first set", first)
		b.results.add("memory, first set (MiB)", atMost(300), mib(first.peak))
		for _, p := range b.peers {
			if p.slow && round >= b.slowRounds {
				continue
			}
			s, err := b.measure(ctx, p)
			if err != nil {
				return err
			}
			b.noteSample(p.name, s)
			b.results.add("first set / "+p.name, targets[p.name], ratio(first.wall, s.wall))
			b.results.add("bytes stored / "+p.name, nil, float64(first.stored)/float64(s.stored))
			b.results.add("CPU of the client / "+p.name, nil, ratio(first.cpu, s.cpu))
			b.results.add("CPU of the client and the server / "+p.name, nil,
				ratio(first.cpu+first.server, s.cpu+s.server))
			b.results.sample(p.name, s)
		}
		if err := b.node.Grow(ctx, size+int64(float64(size)*b.growth/100)); err != nil {
			return err
		}
		if err := b.sql(ctx, "CHECKPOINT"); err != nil {
			return err
		}
		if bare, err = b.bare(ctx); err != nil {
			return err
		}
		var grown int64
		var over float64
		next, err := b.measured(ctx, func(ctx context.Context) (sample, error) {
			s, capture, err := r.backup(ctx)
			grown, over = capture.Bytes-read, takenOver(capture)
			return s, err
		})
		if err != nil {
			return err
		}
		added := float64(next.stored - first.stored)
		b.noteSample("holdfast, next set", next)
		b.note("  %.2f of the bare read; rows grew by %.2f %%, the repository by %.2f %%",
			ratio(next.wall, bare.wall),
			100*float64(grown)/float64(read), 100*added/float64(first.stored))
		b.results.add("next set / bare read", atMost(0.5), ratio(next.wall, bare.wall))
		b.results.add("next set: CPU of the server / of the bare read's", atMost(0.3), ratio(next.server, bare.server))
		b.results.add("next set: taken over (% of its rows' bytes)", nil, 100*over)
		b.results.add("rows new since the first set (% of its rows' bytes)", nil, 100*float64(grown)/float64(read))
		b.results.add("repository growth (% of it after the first set)", atMost(1.5), 100*added/float64(first.stored))
		b.results.add("repository growth (% of the bytes read)", atMost(1.5), 100*added/float64(read+grown))
		b.results.sample("holdfast backup, next set", next)
		b.results.add("memory, next set (MiB)", atMost(300), mib(next.peak))
		if err := b.unchanged(ctx, r, bare); err != nil {
			return err
		}
		if err := r.remove(); err != nil {
			return err
		}
	}
	return b.afterVacuum(ctx)
}

// takenOver is the share of a capture's bytes that was not read.
func takenOver(c holdfast.Capture) float64 {
	if c.TakenOver == nil || c.Bytes == 0 {
		return 0
	}
	return float64(c.TakenOver.Bytes) / float64(c.Bytes)
}

// unchanged measures a set between whose beginning and the last one's nothing
// happened.
func (b *bench) unchanged(ctx context.Context, r repository, bare sample) error {
	var over float64
	s, err := b.measured(ctx, func(ctx context.Context) (sample, error) {
		s, capture, err := r.backup(ctx)
		over = takenOver(capture)
		return s, err
	})
	if err != nil {
		return err
	}
	b.noteSample("holdfast, nothing changed", s)
	b.results.add("nothing changed / bare read", atMost(0.25), ratio(s.wall, bare.wall))
	b.results.add("nothing changed: taken over (% of its rows' bytes)", nil, 100*over)
	return nil
}

// afterVacuum measures what a next set adds when VACUUM has just run: new rows
// then go into gaps of old pages first, and old ranges change.
func (b *bench) afterVacuum(ctx context.Context) error {
	if err := b.sql(ctx, "VACUUM", "CHECKPOINT"); err != nil {
		return err
	}
	r, err := b.newRepository(ctx, "vacuum", b.node.ParticipantDSN(), clientsOf(b))
	if err != nil {
		return err
	}
	first, _, err := r.backup(ctx)
	if err != nil {
		return err
	}
	size, err := b.size(ctx)
	if err != nil {
		return err
	}
	if err := b.node.Grow(ctx, size+int64(float64(size)*b.growth/100)); err != nil {
		return err
	}
	next, _, err := r.backup(ctx)
	if err != nil {
		return err
	}
	b.results.add("repository growth (% of it after the first set), right after VACUUM", nil,
		100*float64(next.stored-first.stored)/float64(first.stored))
	return r.remove()
}

// bare is a bare read after another, unmeasured one has brought everything into
// memory.
func (b *bench) bare(ctx context.Context) (sample, error) {
	if _, err := b.bareRead(ctx); err != nil {
		return sample{}, err
	}
	s, err := b.measured(ctx, b.bareRead)
	b.noteSample("bare read", s)
	b.results.sample("bare read", s)
	return s, err
}

// targets are the most that a first set's time may be of a peer's.
var targets = map[string]*float64{"pg_dump | gzip": atMost(0.08), "pg_dump | zstd -T2": atMost(0.35)}

// restores measures how long it takes to have the database back, indexes
// included, in the server it came from.
func (b *bench) restores(ctx context.Context) error {
	bin := b.node.Participant.Version.Bin
	dsn := b.node.ParticipantDSN()
	r, err := b.newRepository(ctx, "restores", dsn, bin)
	if err != nil {
		return err
	}
	b.note("a set and two dumps to restore from")
	if _, _, err := r.backup(ctx); err != nil {
		return err
	}
	script, directory := filepath.Join(b.dir, "dump.sql"), filepath.Join(b.dir, "dump.d")
	for _, args := range [][]string{
		{"--file=" + script},
		{"--format=directory", "--jobs=2", "--compress=1", "--file=" + directory},
	} {
		if _, err := execute(ctx,
			command{args: append([]string{filepath.Join(bin, "pg_dump"), "--dbname=" + dsn}, args...)}); err != nil {
			return err
		}
	}
	const database = "restored"
	to := b.node.Participant.DSNAs(splicetest.DatabaseOwner, database)
	create := command{args: []string{filepath.Join(bin, "psql"), "-qX",
		"--dbname=" + b.node.Participant.DSN("postgres"), "-c",
		fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0", database, splicetest.DatabaseOwner)}}
	after := func(load command) func(context.Context) (sample, error) {
		return func(ctx context.Context) (sample, error) {
			began := time.Now()
			if _, err := execute(ctx, create); err != nil {
				return sample{}, err
			}
			s, err := execute(ctx, load)
			s.wall = time.Since(began)
			return s, err
		}
	}
	contestants := []struct {
		name string
		run  func(context.Context) (sample, error)
	}{
		{"holdfast restore", func(ctx context.Context) (sample, error) { return r.restore(ctx, to) }},
		{"psql", after(command{
			args: []string{filepath.Join(bin, "psql"), "-qX", "-v", "ON_ERROR_STOP=1", "--dbname=" + to, "-f",
				script},
			file: os.DevNull,
		})},
		{"pg_restore -j2",
			after(command{args: []string{filepath.Join(bin, "pg_restore"), "--jobs=2", "--exit-on-error",
				"--dbname=" + to, directory}})},
	}
	for round := range b.rounds {
		b.note("round %d of restores", round+1)
		took := map[string]sample{}
		for i := range contestants {
			c := contestants[(i+round)%len(contestants)] // everybody is first once
			if err := b.sql(ctx, "CHECKPOINT"); err != nil {
				return err
			}
			s, err := b.measured(ctx, c.run)
			if err != nil {
				return err
			}
			if err := b.sql(ctx, "DROP DATABASE "+database+" WITH (FORCE)"); err != nil {
				return err
			}
			b.noteSample(c.name, s)
			b.results.sample(c.name, s)
			took[c.name] = s
		}
		ours := took["holdfast restore"]
		b.results.add("restore / psql", atMost(0.60), ratio(ours.wall, took["psql"].wall))
		b.results.add("restore / pg_restore -j2", atMost(1.0), ratio(ours.wall, took["pg_restore -j2"].wall))
		b.results.add("memory, restore (MiB)", atMost(300), mib(ours.peak))
	}
	for _, path := range []string{script, directory} {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return r.remove()
}

// memory measures the peak at a small database and at the large one.
func (b *bench) memory(ctx context.Context) error {
	b.note("filling a database of %d MiB", b.smallMB)
	small, err := startNode(ctx, options{postgres: b.postgres, mb: b.smallMB})
	if err != nil {
		return err
	}
	defer small.Close()
	for range b.rounds {
		var peak [2]float64
		for i, n := range []*splicetest.Node{small, b.node} {
			r, err := b.newRepository(ctx, "memory", n.ParticipantDSN(), n.Participant.Version.Bin)
			if err != nil {
				return err
			}
			s, _, err := r.backup(ctx)
			if err != nil {
				return err
			}
			peak[i] = mib(s.peak)
			b.noteSample(fmt.Sprintf("holdfast, first set of database %d of 2", i+1), s)
			if err := r.remove(); err != nil {
				return err
			}
		}
		b.results.add(fmt.Sprintf("memory, first set of %d MiB (MiB)", b.smallMB), atMost(300), peak[0])
		b.results.add(fmt.Sprintf("memory, first set of %d MiB (MiB)", b.mb), atMost(300), peak[1])
		b.results.add(fmt.Sprintf("memory of the larger / of the smaller, %.0f times the size",
			float64(b.mb)/float64(b.smallMB)), atMost(1.5), peak[1]/peak[0])
	}
	return nil
}
