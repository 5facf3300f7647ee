package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// peer is another way to back a database up: a pipeline that writes into a
// directory of its own.
type peer struct {
	name    string
	slow    bool
	prepare func(dir string) []command // not measured; may be nil
	dump    func(dir string) []command
}

// findPeers returns those peers whose programs are installed; of the others it
// says so.
func findPeers(bin string, note func(string, ...any)) []peer {
	dump := func(args ...string) command {
		return command{args: append([]string{filepath.Join(bin, "pg_dump")}, args...)}
	}
	restic := func(dir string, args ...string) command {
		return command{args: append([]string{"restic", "--quiet"}, args...), env: []string{
			"RESTIC_REPOSITORY=" + filepath.Join(dir, "repository"),
			"RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache"), "RESTIC_PASSWORD=bench"}}
	}
	all := []struct {
		needs string
		peer
	}{
		{"zstd", peer{name: "pg_dump | zstd -T2", dump: func(dir string) []command {
			return []command{dump(), {args: []string{"zstd", "-q", "-T2"}, file: filepath.Join(dir, "dump.zst")}}
		}}},
		{"restic", peer{
			name:    "pg_dump | restic",
			prepare: func(dir string) []command { return []command{restic(dir, "init")} },
			dump: func(dir string) []command {
				return []command{dump(), restic(dir, "backup", "--stdin", "--stdin-filename", "dump.sql")}
			},
		}},
		{"", peer{name: "pg_dump -Fd -j2", dump: func(dir string) []command {
			return []command{dump("--format=directory", "--jobs=2", "--file="+filepath.Join(dir, "dump"))}
		}}},
		{"", peer{name: "pg_dump -Fc", slow: true, dump: func(dir string) []command {
			return []command{dump("--format=custom", "--file="+filepath.Join(dir, "dump"))}
		}}},
		{"gzip", peer{name: "pg_dump | gzip", slow: true, dump: func(dir string) []command {
			return []command{dump(), {args: []string{"gzip"}, file: filepath.Join(dir, "dump.gz")}}
		}}},
	}
	var found []peer
	for _, p := range all {
		if p.needs != "" {
			if _, err := exec.LookPath(p.needs); err != nil {
				note("%s is left out: %s is not installed (apt-get install %s)", p.name, p.needs, p.needs)
				continue
			}
		}
		found = append(found, p.peer)
	}
	return found
}

// measure has the peer back the participant's database up.
func (b *bench) measure(ctx context.Context, p peer) (sample, error) {
	dir, err := os.MkdirTemp(b.dir, "peer-")
	if err != nil {
		return sample{}, err
	}
	defer os.RemoveAll(dir)
	if p.prepare != nil {
		if _, err := execute(ctx, p.prepare(dir)...); err != nil {
			return sample{}, err
		}
	}
	s, err := b.measured(ctx, func(ctx context.Context) (sample, error) {
		commands := p.dump(dir)
		commands[0].args = append(commands[0].args, "--dbname="+b.node.ParticipantDSN())
		return execute(ctx, commands...)
	})
	if err != nil {
		return s, err
	}
	s.stored, err = diskUse(dir)
	return s, err
}
