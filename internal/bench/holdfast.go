package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/manifest"
)

// repository is one Holdfast repository with its configuration.
type repository struct {
	program string
	dir     string
}

// newRepository sets Holdfast up as an operator would, for a node of which only
// the participant's database is backed up.
func (b *bench) newRepository(ctx context.Context, name, dsn, tools string, flags ...string) (repository, error) {
	return b.newRepositoryIn(ctx, name, filepath.Join(b.dir, name, "repository"), dsn, tools, flags...)
}

// newRepositoryIn is the same with the repository in another place.
func (b *bench) newRepositoryIn(
	ctx context.Context, name, where, dsn, tools string, flags ...string,
) (repository, error) {
	r := repository{b.holdfast, filepath.Join(b.dir, name)}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return r, err
	}
	_, err := execute(ctx, r.command(append([]string{"init", "--no-input", "--node", "bench", "--database", "participant=" + dsn,
		"--repository", where, "--identities-url", "-", "--tools", tools}, flags...)...))
	if err == nil && b.summaries {
		err = r.configure("dump: {wal_summaries: true}\n")
	}
	return r, err
}

// configure adds to the configuration.
func (r repository) configure(lines string) error {
	f, err := os.OpenFile(filepath.Join(r.dir, "holdfast.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lines)
	return errors.Join(err, f.Close())
}

func (r repository) command(args ...string) command {
	return command{args: append([]string{r.program, "--config", filepath.Join(r.dir, "holdfast.yaml")}, args...)}
}

// backup takes one set and says how large the repository is then.
func (r repository) backup(ctx context.Context, flags ...string) (sample, holdfast.Capture, error) {
	s, err := execute(ctx, r.command(append([]string{"backup", "--output", "json"}, flags...)...))
	if err != nil {
		return s, holdfast.Capture{}, err
	}
	var result struct{ Value json.RawMessage }
	if err := json.Unmarshal(s.output, &result); err != nil {
		return s, holdfast.Capture{}, err
	}
	set, err := manifest.Read(bytes.NewReader(result.Value))
	if err != nil {
		return s, holdfast.Capture{}, err
	}
	if set.State != holdfast.Proven || len(set.Captures) != 1 {
		return s, holdfast.Capture{}, fmt.Errorf("set %s is %s", set.ID, set.State)
	}
	s.stored, err = diskUse(filepath.Join(r.dir, "repository"))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // it is in a bucket
	}
	return s, set.Captures[0], err
}

// restore brings the newest set back as a new database.
func (r repository) restore(ctx context.Context, dsn string) (sample, error) {
	return execute(ctx, r.command("restore", "latest", "--to", "participant="+dsn, "--yes", "--output", "json"))
}

// restoredOnce restores the newest set of a repository into a database of its own, which
// is dropped again.
func (b *bench) restoredOnce(ctx context.Context, r repository) (sample, error) {
	const database = "restored"
	to := b.node.Participant.DSNAs(splicetest.DatabaseOwner, database)
	if err := b.sql(ctx, "CHECKPOINT"); err != nil {
		return sample{}, err
	}
	s, err := b.measured(ctx, func(ctx context.Context) (sample, error) { return r.restore(ctx, to) })
	return s, errors.Join(err, b.sql(ctx, "DROP DATABASE IF EXISTS "+database+" WITH (FORCE)"))
}

func (r repository) remove() error { return os.RemoveAll(r.dir) }
