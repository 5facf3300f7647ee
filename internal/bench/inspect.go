package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// unpackers are the programs that people unpack a dump with. xz packs at its
// quickest: how it was packed matters little to who unpacks it.
var unpackers = []struct{ name, level, suffix string }{
	{"zstd", "-3", ".zst"},
	{"gzip", "-6", ".gz"},
	{"xz", "-1", ".xz"},
}

// inspect measures the judging of a dump against the mere unpacking of the same
// file, in pairs, with the validator app's small dump as the other input; and
// the judging of what that program unpacks. The peer's output goes to
// /dev/null, which costs it nothing and is more than fair to it: whoever wants
// to look at it has to take it out of a pipe. So there is a second peer, whose
// output cat takes.
func (b *bench) inspect(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.dir, "inspect-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	validator, participant := filepath.Join(dir, "validator.sql"), filepath.Join(dir, "participant.sql")
	program := filepath.Join(b.node.Participant.Version.Bin, "pg_dump")
	for _, d := range []struct{ dsn, file string }{
		{b.node.ValidatorDSN(), validator},
		{b.node.ParticipantDSN(), participant},
	} {
		if _, err := execute(ctx,
			command{args: []string{program, "--dbname=" + d.dsn, "--file=" + d.file}}); err != nil {
			return err
		}
	}
	for _, u := range unpackers {
		if _, err := exec.LookPath(u.name); err != nil {
			b.note("%s is left out: it is not installed", u.name)
			continue
		}
		packed := participant + u.suffix
		if _, err := execute(ctx, command{
			args: []string{u.name, u.level, "-c", participant},
			file: packed,
		}); err != nil {
			return err
		}
		unpack := command{args: []string{u.name, "-dc", packed}}
		for round := range b.rounds {
			alone := func() (sample, error) {
				return execute(ctx, command{args: unpack.args, file: os.DevNull})
			}
			taken := func() (sample, error) {
				return execute(ctx, unpack, command{args: []string{"cat"}, file: os.DevNull})
			}
			judge := func() (sample, error) {
				return execute(ctx, command{
					args: []string{b.holdfast, "inspect", validator, packed},
					file: os.DevNull,
				})
			}
			piped := func() (sample, error) {
				return execute(ctx, unpack, command{
					args: []string{b.holdfast, "inspect", validator, "-"},
					file: os.DevNull,
				})
			}
			for _, x := range []struct {
				name, peer  string
				ours, peers func() (sample, error)
			}{
				{"inspect", u.name + " -d", judge, alone},
				{"inspect", u.name + " -d | cat", judge, taken},
				{u.name + " -d | inspect -", u.name + " -d", piped, alone},
			} {
				took, err := b.pair(x.name, x.peer, round, atMost(1.0), x.ours, x.peers)
				if err != nil {
					return err
				}
				b.results.add(x.name+" / "+x.peer+", CPU", nil, ratio(took[0].cpu, took[1].cpu))
			}
		}
		if err := os.Remove(packed); err != nil {
			return err
		}
	}
	return nil
}

// pair measures ours and theirs one after the other, by turns in either order,
// and returns both. Target is the most that ours may be of theirs.
func (b *bench) pair(
	name, peer string, round int, target *float64, ours, theirs func() (sample, error),
) (took [2]sample, err error) {
	order := []func() (sample, error){ours, theirs}
	if round%2 == 1 {
		order = []func() (sample, error){theirs, ours}
	}
	for i, run := range order {
		s, err := run()
		if err != nil {
			return took, err
		}
		took[(i+round)%2] = s
	}
	b.noteSample(name, took[0])
	b.noteSample(peer, took[1])
	b.results.add(name+" / "+peer, target, ratio(took[0].wall, took[1].wall))
	b.results.sample(name+" ("+peer+")", took[0])
	b.results.sample(peer, took[1])
	return took, nil
}
