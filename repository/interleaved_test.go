package repository_test

import (
	"math/rand/v2"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
	"holdfast/repository"
)

// bucketDead is when the holder of a lock or a lease in a bucket is dead, in these
// tests.
const bucketDead = 4 * time.Second

// Two machines write to one bucket: backups, retentions with maintenance, and a
// reader of everything, in processes of their own. At random instants one is
// killed, or put to sleep for longer than its locks live. Every set that is listed
// restores, at every moment and afterwards.
func TestTwoMachinesAndOneBucket(t *testing.T) {
	s := storetest.S3(t)
	created(t, s)
	interleavings, pause := 4, bucketDead/2
	if splicetest.Long() {
		interleavings, pause = 100, bucketDead+2*time.Second
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	lots := rand.New(rand.NewPCG(seed, 12)) //nolint:gosec // a test's
	p := troupe{
		t: t, dir: s.Place.String(), keys: storetest.Keys(), clock: &clock{Base: time.Now(), Factor: 1},
		run: map[string]*exec.Cmd{}, says: map[string]*tally{},
	}
	names := []string{"backup", "backup 2", "retention", "retention 2", "reader"}
	for _, name := range names {
		p.start(name)
	}
	for began := time.Now(); !p.done(1, 1, 1) && time.Since(began) < time.Minute; {
		time.Sleep(50 * time.Millisecond)
	}
	for range interleavings {
		time.Sleep(time.Duration(lots.Int64N(int64(time.Second))))
		name := names[lots.IntN(4)]
		if lots.IntN(3) == 0 {
			p.sleep(name, pause)
			continue
		}
		p.kill(name)
		p.start(name)
	}
	for began := time.Now(); !p.enough() && time.Since(began) < time.Minute; {
		time.Sleep(50 * time.Millisecond)
	}
	for _, name := range names {
		p.kill(name)
	}
	p.judge()
	r := open(t, s.Place, repository.By(s.Access))
	if err := everySet(r, func(repository.Entry) bool { return true }); err != nil {
		t.Error(err)
	}
	if list := sets(t, r, ""); len(list) == 0 {
		t.Error("there is no set")
	}
	inspectWhole(t, r)
}

// sleep stops a process for a while, as a machine that sleeps does.
func (p *troupe) sleep(name string, pause time.Duration) {
	_ = p.run[name].Process.Signal(syscall.SIGSTOP)
	time.Sleep(pause)
	_ = p.run[name].Process.Signal(syscall.SIGCONT)
}

// inspectWhole verifies that nothing of the repository is damaged.
func inspectWhole(t *testing.T, r *repository.Repository) {
	t.Helper()
	i, err := r.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if faults, err := i.Faults(t.Context()); err != nil || len(faults) > 0 {
		t.Errorf("%+v, %v", faults, err)
	}
}
