package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
)

// unpackers are the programs that people unpack a dump with.
var unpackers = []struct{ name, suffix string }{{"zstd", ".zst"}, {"gzip", ".gz"}}

// inspect measures the judging of a dump against the mere unpacking of the
// same file, in pairs, with the validator app's small dump beside it; and the
// judging of what that program unpacks.
func (b *bench) inspect(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "inspect-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	validator, participant := filepath.Join(dir, "validator.sql"), filepath.Join(dir, "participant.sql")
	program := filepath.Join(b.node.Participant.Version.Bin, "pg_dump")
	for _, d := range []struct{ dsn, file string }{{b.node.ValidatorDSN(), validator}, {b.node.ParticipantDSN(), participant}} {
		if _, err := execute(ctx, command{args: []string{program, "--dbname=" + d.dsn, "--file=" + d.file}}); err != nil {
			return err
		}
	}
	for _, u := range unpackers {
		if _, err := exec.LookPath(u.name); err != nil {
			b.note("%s is left out: it is not installed", u.name)
			continue
		}
		packed := participant + u.suffix
		if _, err := execute(ctx, command{args: []string{u.name, "-c", participant}, file: packed}); err != nil {
			return err
		}
		unpack := command{args: []string{u.name, "-dc", packed}}
		for round := range b.rounds {
			alone := func() (sample, error) {
				return execute(ctx, command{args: unpack.args, file: os.DevNull})
			}
			judge := func() (sample, error) {
				return execute(ctx, command{args: []string{b.holdfast, "inspect", validator, packed}, file: os.DevNull})
			}
			piped := func() (sample, error) {
				return execute(ctx, unpack, command{args: []string{b.holdfast, "inspect", validator, "-"}, file: os.DevNull})
			}
			if err := errors.Join(b.pair("inspect", u.name+" -d", round, judge, alone),
				b.pair(u.name+" -d | inspect -", u.name+" -d", round, piped, alone)); err != nil {
				return err
			}
		}
		if err := os.Remove(packed); err != nil {
			return err
		}
	}
	return nil
}

// pair measures ours and theirs one after the other, by turns in either order.
func (b *bench) pair(name, peer string, round int, ours, theirs func() (sample, error)) error {
	order := []func() (sample, error){ours, theirs}
	if round%2 == 1 {
		order = []func() (sample, error){theirs, ours}
	}
	var took [2]sample
	for i, run := range order {
		s, err := run()
		if err != nil {
			return err
		}
		took[(i+round)%2] = s
	}
	b.noteSample(name, took[0])
	b.noteSample(peer, took[1])
	b.results.add(name+" / "+peer, atMost(1.0), ratio(took[0].wall, took[1].wall))
	b.results.add(name+" / "+peer+", CPU", nil, ratio(took[0].cpu, took[1].cpu))
	b.results.sample(name+" ("+peer+")", took[0])
	b.results.sample(peer, took[1])
	return nil
}
