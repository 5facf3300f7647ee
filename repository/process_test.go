package repository_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"testing"

	"holdfast"
	"holdfast/internal/child"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/repository/repositorytest"
)

// TestMain lets the test binary act as another process that writes a set.
func TestMain(m *testing.M) {
	if dir := os.Getenv("HOLDFAST_TEST_WRITER"); dir != "" {
		if err := writer(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if to := os.Getenv("HOLDFAST_TEST_COPY"); to != "" {
		if err := sender(os.Getenv("HOLDFAST_TEST_DIR"), to); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if what := os.Getenv(roleVariable); what != "" {
		fmt.Fprintln(os.Stderr, concurrent(what, os.Getenv("HOLDFAST_TEST_DIR")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writer stores a set of the node and seed that the environment names. Before
// it seals it says so, and waits until its input ends.
func writer(where string) error {
	ctx := context.Background()
	at, err := taken(where)
	if err != nil {
		return err
	}
	repository.SetCheckpoint(10 << 20)
	seed, err := strconv.ParseUint(os.Getenv("HOLDFAST_TEST_SEED"), 10, 64)
	if err != nil {
		return err
	}
	r, err := repository.Open(ctx, at, holdfast.NewSecret(password), by(at))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close(ctx) }()
	const name = "app/data/public.t/0000000000.copy"
	set := aSet(holdfast.NodeName(os.Getenv("HOLDFAST_TEST_NODE")), int(seed), holdfast.Proven, name)
	return r.Write(ctx, "set", func(ctx context.Context, w holdfast.SetWriter) error {
		if err := fill(ctx, w, map[string][]byte{name: random(seed, 60<<20)}); err != nil {
			return err
		}
		fmt.Println("put")
		_, _ = io.Copy(io.Discard, os.Stdin)
		return w.Seal(ctx, set)
	})
}

// start starts a writer and waits until it has put its files.
func start(t *testing.T, at place.Place, node string, seed int) *child.Process {
	t.Helper()
	p := child.Start(t, os.Stderr, "HOLDFAST_TEST_WRITER="+hand(t, at), "HOLDFAST_TEST_NODE="+node,
		"HOLDFAST_TEST_SEED="+strconv.Itoa(seed))
	p.Await(t, "put")
	return p
}

func TestTwoProcessesWriteAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		t.Parallel()
		at := s.make1(t)
		a, b := start(t, at, "a", 1), start(t, at, "b", 2)
		for _, p := range []*child.Process{b, a} {
			_ = p.In.Close()
			if err := p.Wait(); err != nil {
				t.Fatal(err)
			}
		}
		r := open(t, at)
		for node, seed := range map[holdfast.NodeName]uint64{"a": 1, "b": 2} {
			_, files, err := r.Latest(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			if string(repositorytest.Read(t, files,
				"app/data/public.t/0000000000.copy")) != string(random(seed, 60<<20)) {
				t.Errorf("what process %s put came back different", node)
			}
		}
	})
}

// A process that dies leaves no set and a repository that opens. The next run
// reuses what it had stored and indexed.
func TestAKilledWriterLeavesNoSetAndTheRetryIsCheap(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		t.Parallel()
		at := s.make1(t)
		p := start(t, at, "demo", 1)
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = p.Wait()
		if list := sets(t, open(t, at), ""); len(list) > 0 {
			t.Errorf("there is a set: %v", list)
		}
		before := size(t, at)
		if before < 50<<20 {
			t.Fatalf("the killed process had stored %d bytes only", before)
		}
		again := start(t, at, "demo", 1)
		_ = again.In.Close()
		if err := again.Wait(); err != nil {
			t.Fatal(err)
		}
		if more := size(t, at) - before; more > 5<<20 {
			t.Errorf("the retry of a run with 60 MiB stored another %d KiB", more>>10)
		}
		_, files, err := open(t, at).Latest(t.Context(), "demo", holdfast.Proven)
		if err != nil {
			t.Fatal(err)
		}
		if string(repositorytest.Read(t, files, "app/data/public.t/0000000000.copy")) != string(random(1, 60<<20)) {
			t.Error("what the retry put came back different")
		}
	})
}
