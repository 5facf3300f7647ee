package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// increments compares what a next backup takes after the database has grown and
// pruned: a set of Holdfast's, and what other tools call incremental or
// deduplicated.
func (b *bench) increments(ctx context.Context) error {
	tools, err := b.incremental(ctx)
	if err != nil {
		return err
	}
	end, err := b.node.LedgerEnd(ctx)
	if err != nil {
		return err
	}
	for round := range b.rounds {
		b.note("round %d of increments", round+1)
		dirs := map[string]string{}
		before := map[string]sample{}
		for _, t := range tools {
			if dirs[t.name], err = os.MkdirTemp(b.dir, "increment-"); err != nil {
				return err
			}
			if before[t.name], err = b.backedUp(ctx, t, dirs[t.name], t.first); err != nil {
				return fmt.Errorf("%s, first: %w", t.name, err)
			}
			b.noteSample(t.name+", first", before[t.name])
			b.results.sample(t.name+", first", before[t.name])
		}
		if err := b.node.Turn(ctx, max(1, int64(float64(end)*b.growth/100))); err != nil {
			return err
		}
		if err := b.sql(ctx, "CHECKPOINT"); err != nil {
			return err
		}
		bare, err := b.bare(ctx)
		if err != nil {
			return err
		}
		for i := range tools {
			t := tools[(i+round)%len(tools)] // everybody is first once
			next, err := b.backedUp(ctx, t, dirs[t.name], t.next)
			if err != nil {
				return fmt.Errorf("%s, next: %w", t.name, err)
			}
			b.noteSample(t.name+", next", next)
			b.results.sample(t.name+", next", next)
			b.results.add("next of "+t.name+": time / of the bare read", nil, ratio(next.wall, bare.wall))
			b.results.add("next of "+t.name+": CPU of the server / of the bare read's", nil, ratio(next.server, bare.server))
			b.results.add("next of "+t.name+": stored, % of its first", nil,
				100*float64(next.stored-before[t.name].stored)/float64(before[t.name].stored))
			if err := os.RemoveAll(dirs[t.name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// increment is a way to back up that does less after the first time. Each gets a
// directory of its own and says what to run.
type increment struct {
	name        string
	prepare     func(dir string) []command // before the first; nil for nothing
	first, next func(dir string) []command
}

// backedUp runs one, and says what it stores then.
func (b *bench) backedUp(
	ctx context.Context, t increment, dir string, commands func(string) []command,
) (sample, error) {
	if entries, _ := os.ReadDir(dir); len(entries) == 0 && t.prepare != nil {
		for _, c := range t.prepare(dir) {
			if _, err := execute(ctx, c); err != nil {
				return sample{}, err
			}
		}
	}
	s, err := b.measured(ctx, func(ctx context.Context) (sample, error) { return execute(ctx, commands(dir)...) })
	if err != nil {
		return s, err
	}
	s.stored, err = diskUse(dir)
	return s, err
}

// incremental are the tools that are there; of the others it says why not.
func (b *bench) incremental(ctx context.Context) (tools []increment, err error) {
	tools = []increment{b.ownIncrement("holdfast", "")}
	if b.summaries {
		tools = append(tools, b.ownIncrement("holdfast, by summaries", "dump: {wal_summaries: true}\n"))
	}
	if b.alone {
		return tools, nil
	}
	if _, err := exec.LookPath("restic"); err == nil {
		tools = append(tools, b.resticIncrement())
	} else {
		b.note("pg_dump | restic is left out: restic is not installed (apt-get install restic)")
	}
	if _, err := exec.LookPath("pgbackrest"); err == nil {
		tools = append(tools, b.pgBackRest())
	} else {
		b.note("pgBackRest is left out: it is not installed (internal/testbed/peers.sh)")
	}
	if major, _ := strconv.Atoi(b.node.Participant.Version.Major); major < 17 {
		b.note("pg_basebackup --incremental is left out: the server is Postgres %d (-postgres 17)", major)
		return tools, nil
	}
	if !b.summaries {
		if err := b.sql(ctx, "ALTER SYSTEM SET summarize_wal = on", "SELECT pg_reload_conf()"); err != nil {
			return nil, err
		}
	}
	return append(tools, b.baseBackup()), sleep(ctx, time.Second)
}

// ownIncrement is Holdfast, with more lines in its configuration.
func (b *bench) ownIncrement(name, more string) increment {
	own := func(dir string, args ...string) command { return repository{b.holdfast, dir}.command(args...) }
	return increment{
		name: name,
		prepare: func(dir string) []command {
			return []command{
				own(dir, "init", "--no-input", "--node", "bench", "--database", "participant="+b.node.ParticipantDSN(),
					"--repository", filepath.Join(dir, "repository"), "--identities-url", "-", "--tools", clientsOf(b)),
				{args: []string{"sh", "-c", `printf %s "$1" >>"$0"`, filepath.Join(dir, "holdfast.yaml"), more}},
			}
		},
		first: func(dir string) []command { return []command{own(dir, "backup")} },
		next:  func(dir string) []command { return []command{own(dir, "backup")} },
	}
}

func (b *bench) resticIncrement() increment {
	restic := func(dir string, args ...string) command {
		return command{args: append([]string{"restic", "--quiet"}, args...), env: []string{
			"RESTIC_REPOSITORY=" + filepath.Join(dir, "repository"),
			"RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache"), "RESTIC_PASSWORD=bench"}}
	}
	dump := func(dir string) []command {
		return []command{
			{args: []string{filepath.Join(clientsOf(b), "pg_dump"), "--dbname=" + b.node.ParticipantDSN()}},
			restic(dir, "backup", "--stdin", "--stdin-filename", "dump.sql"),
		}
	}
	return increment{
		name:    "pg_dump | restic",
		prepare: func(dir string) []command { return []command{restic(dir, "init")} },
		first:   dump, next: dump,
	}
}

// baseBackup copies all files of the server once, and then the blocks that its
// summaries of the log name.
func (b *bench) baseBackup() increment {
	base := func(dir, name string, more ...string) []command {
		return []command{{args: append([]string{
			filepath.Join(clientsOf(b), "pg_basebackup"), "--checkpoint=fast", "--wal-method=fetch", "--no-sync",
			"--dbname=" + b.node.Participant.DSN("postgres"), "--pgdata=" + filepath.Join(dir, name),
		}, more...)}}
	}
	return increment{
		name:  "pg_basebackup --incremental",
		first: func(dir string) []command { return base(dir, "first") },
		next: func(dir string) []command {
			return base(dir, "next", "--incremental="+filepath.Join(dir, "first", "backup_manifest"))
		},
	}
}

// pgBackRest copies files in bundles, and what changed of them in blocks where its
// version can (2.46 and later).
func (b *bench) pgBackRest() increment {
	server := b.node.Participant
	run := func(dir string, args ...string) command {
		return command{args: append([]string{
			"pgbackrest", "--stanza=bench", "--config=/dev/null", "--log-level-console=error", "--log-level-file=off",
			"--pg1-path=" + server.Data(), "--pg1-socket-path=" + server.Socket(),
			"--pg1-port=" + strconv.Itoa(server.Port()), "--pg1-user=postgres",
			"--repo1-path=" + filepath.Join(dir, "repository"), "--lock-path=" + filepath.Join(dir, "lock"),
		}, args...), env: []string{"PGBACKREST_ALLOW_ROOT=y"}} // an option that 2.45 does not know
	}
	backup := func(dir, kind string) []command {
		more := []string{
			"--type=" + kind, "--process-max=2", "--repo1-bundle", "--repo1-retention-full=9", "--start-fast",
			"--no-archive-check", "backup",
		}
		if b.blocks() {
			more = append([]string{"--repo1-block"}, more...)
		}
		return []command{run(dir, more...)}
	}
	return increment{
		name:    "pgBackRest",
		prepare: func(dir string) []command { return []command{run(dir, "--no-online", "stanza-create")} },
		first:   func(dir string) []command { return backup(dir, "full") },
		next:    func(dir string) []command { return backup(dir, "incr") },
	}
}

// blocks says whether the pgBackRest that is installed stores blocks.
func (b *bench) blocks() bool {
	said, err := exec.Command("pgbackrest", "version").Output()
	var major, minor int
	_, _ = fmt.Sscanf(string(said), "pgBackRest %d.%d", &major, &minor)
	return err == nil && (major > 2 || minor >= 46)
}

// clientsOf is where client programs for the server are.
func clientsOf(b *bench) string {
	if dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS"); dir != "" && b.options.postgres != "" {
		return dir
	}
	return b.node.Participant.Version.Bin
}
