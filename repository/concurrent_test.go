package repository_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast"
	"holdfast/place"
	"holdfast/repository"
)

// The processes of TestConcurrentProcesses. Each is the test binary, in a role
// that a variable names, and ends when it is killed.
const roleVariable = "HOLDFAST_TEST_ROLE" // "backup", "retention" or "reader"

// contents are the rows of the nth set. Most of them are in earlier sets, too.
func contents(n int) []byte {
	var out []byte
	for i := range 6 {
		out = append(out, random(uint64((n+i)/3*7+i), 100<<10)...)
	}
	return out
}

// keysVariable has the keys of a bucket, for those processes that write to one.
const keysVariable = "HOLDFAST_TEST_KEYS"

// concurrent is such a process, on a repository in a directory or in a bucket.
func concurrent(what, where string) error {
	c, err := clockOfEnvironment()
	if err != nil {
		return err
	}
	c.use()
	repository.SetLease(250*time.Millisecond, time.Hour, 3*time.Hour)
	repository.SetCheckpoint(1 << 20)
	first, err := strconv.Atoi(os.Getenv("HOLDFAST_TEST_SEED"))
	if err != nil {
		return err
	}
	at, err := place.Parse(where, "/")
	if err != nil {
		return err
	}
	var options []repository.Option
	if id, secret, remote := strings.Cut(os.Getenv(keysVariable), ":"); remote {
		repository.SetLock(250*time.Millisecond, bucketDead)
		repository.SetLease(250*time.Millisecond, bucketDead, 3*time.Hour)
		options = append(options, repository.By(repository.Access{
			ID:     holdfast.Fixed(holdfast.NewSecret(id)),
			Secret: holdfast.Fixed(holdfast.NewSecret(secret)),
		}))
	}
	do := map[string]func(*repository.Repository, int) error{
		"backup":    backUp,
		"retention": retain,
		"reader":    readAll,
	}[what]
	for n := first; ; n++ {
		r, err := repository.Open(context.Background(), at, holdfast.NewSecret(password), options...)
		if err == nil {
			err = errors.Join(do(r, n), r.Close(context.Background()))
		}
		if err != nil {
			fmt.Println("error", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("done")
		}
	}
}

// backUp stores a set, which takes up to some hours of the clock.
func backUp(r *repository.Repository, n int) error {
	set := aSet("demo", n, holdfast.Proven, rows)
	set.Host = strconv.Itoa(n)
	return r.Write(context.Background(), "set", func(ctx context.Context, w holdfast.SetWriter) error {
		if err := fill(ctx, w, map[string][]byte{rows: contents(n)}); err != nil {
			return err
		}
		time.Sleep(time.Duration(rand.IntN(1500)) * time.Millisecond)
		return w.Seal(ctx, set)
	})
}

// retain keeps three sets, and maintains.
func retain(r *repository.Repository, _ int) error {
	err := r.Drop(context.Background(), "demo", func(ctx context.Context) ([]holdfast.SetID, error) {
		list, err := r.Sets(ctx, "demo")
		var ids []holdfast.SetID
		for _, e := range list[:max(0, len(list)-3)] {
			ids = append(ids, e.ID)
		}
		return ids, err
	})
	if err != nil {
		return err
	}
	_, err = r.Maintain(context.Background(), true)
	return err
}

// readAll reads every set whole. One that was dropped meanwhile may be gone.
func readAll(r *repository.Repository, _ int) error {
	return everySet(r, func(e repository.Entry) bool {
		list, err := r.Sets(context.Background(), "demo")
		for _, other := range list {
			if other.ID == e.ID {
				return true
			}
		}
		return err != nil
	})
}

// everySet reads every set and compares. For an altered set, there reports
// whether it still exists.
func everySet(r *repository.Repository, there func(repository.Entry) bool) error {
	list, err := r.Sets(context.Background(), "demo")
	if err != nil {
		return err
	}
	for _, e := range list {
		if err := cameWhole(r, e); err != nil && there(e) {
			return fmt.Errorf("NOT WHOLE: set %s: %w", e.ID, err)
		}
	}
	return nil
}

func cameWhole(r *repository.Repository, e repository.Entry) error {
	s, err := r.Load(context.Background(), e)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(s.Set.Host)
	if err != nil {
		return err
	}
	in, err := s.Open(context.Background(), rows)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	got, err := io.ReadAll(in)
	if err == nil && !bytes.Equal(got, contents(n)) {
		err = errors.New("its rows came back different")
	}
	return err
}

// tally is what the processes of one sort have said.
type tally struct {
	mu     sync.Mutex
	done   int
	killed int
	errs   []string
}

func (a *tally) listen(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		a.mu.Lock()
		if text, failed := strings.CutPrefix(lines.Text(), "error "); failed {
			a.errs = append(a.errs, text)
		} else {
			a.done++
		}
		a.mu.Unlock()
	}
}

// troupe keeps one process of each sort going.
type troupe struct {
	t     *testing.T
	dir   string // or another place
	keys  string // of a bucket
	clock *clock
	n     int
	run   map[string]*exec.Cmd
	says  map[string]*tally
}

func (p *troupe) start(name string) {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.Command(self)
	what, _, _ := strings.Cut(name, " ")
	p.n += 40 // more sets than one process stores
	cmd.Env = append(os.Environ(), roleVariable+"="+what, "HOLDFAST_TEST_DIR="+p.dir,
		"HOLDFAST_TEST_SEED="+strconv.Itoa(p.n), p.clock.environment())
	if p.keys != "" {
		cmd.Env = append(cmd.Env, keysVariable+"="+p.keys)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	p.run[name] = cmd
	if p.says[name] == nil {
		p.says[name] = &tally{}
	}
	go p.says[name].listen(out)
}

func (p *troupe) kill(name string) {
	_ = p.run[name].Process.Kill()
	_ = p.run[name].Wait()
	p.says[name].killed++
}

// A backup, two retentions with maintenance and a reader of everything, in
// processes of their own that are killed at random instants, on a clock that
// makes a quarter of an hour of every second. Whatever is listed can be read whole, at
// every moment and afterwards.
func TestConcurrentProcesses(t *testing.T) {
	_, dir := make1(t)
	c := &clock{Base: time.Now(), Factor: 900}
	defer c.use()()
	// What there is in the beginning is old enough to be deleted.
	c.Ahead = -72 * time.Hour
	r := open(t, place.Directory(dir))
	for n := range 5 {
		set := aSet("demo", n, holdfast.Proven, rows)
		set.Host = strconv.Itoa(n)
		if err := store(t.Context(), r, set, map[string][]byte{rows: contents(n)}); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(72 * time.Hour)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	lots := rand.New(rand.NewPCG(seed, 4))
	p := troupe{t: t, dir: dir, clock: c, run: map[string]*exec.Cmd{}, says: map[string]*tally{}}
	names := []string{"backup", "retention", "retention 2", "reader"}
	for _, name := range names {
		p.start(name)
	}
	// How long a round takes here and now says how long to wait before a kill.
	began := time.Now()
	for !p.done(1, 1, 1) && time.Since(began) < 2*time.Minute {
		time.Sleep(50 * time.Millisecond)
	}
	round := time.Since(began)
	for kills := 0; time.Since(began) < 4*time.Minute && (kills < 8 || !p.enough()); kills++ {
		time.Sleep(time.Duration(lots.Int64N(int64(round))))
		name := names[lots.IntN(3)]
		p.kill(name)
		p.start(name)
	}
	for _, name := range names {
		p.kill(name)
	}
	p.judge()
	for range 4 {
		r := open(t, place.Directory(dir))
		if err := everySet(r, func(repository.Entry) bool { return true }); err != nil {
			t.Error(err)
		}
		c.pass(26 * time.Hour)
		if _, err := r.Maintain(t.Context(), true); err != nil && !strings.Contains(err.Error(), "clock skew") {
			t.Error(err)
		}
	}
	if list := sets(t, open(t, place.Directory(dir)), ""); len(list) < 3 {
		t.Errorf("only %d sets are left", len(list))
	}
}

// judge checks the errors of the processes. Allowed are: another process holds
// the lock, the lease was lost, and a moment's delay, which is minutes on this
// clock.
func (p *troupe) judge() {
	p.t.Helper()
	for name, says := range p.says {
		says.mu.Lock()
		p.t.Logf("%s: %d times, %d errors, killed %d times", name, says.done, len(says.errs), says.killed)
		for _, text := range says.errs {
			if !strings.Contains(text, "another process holds the") && !strings.Contains(text, "lost its lease") &&
				!strings.Contains(text, "clock skew") && !strings.Contains(text, "the lock of the repository was not renewed") {
				p.t.Errorf("%s: %s", name, text)
			}
		}
		says.mu.Unlock()
	}
	if !p.enough() {
		p.t.Error("too little was done for this to show anything")
	}
}

// enough reports whether enough was done between the kills.
func (p *troupe) enough() bool { return p.done(2, 3, 3) }

// done reports whether so many rounds of each sort came to their end.
func (p *troupe) done(backups, retentions, readings int) bool {
	done := map[string]int{}
	for name, says := range p.says {
		says.mu.Lock()
		what, _, _ := strings.Cut(name, " ")
		done[what] += says.done
		says.mu.Unlock()
	}
	return done["backup"] >= backups && done["retention"] >= retentions && done["reader"] >= readings
}
