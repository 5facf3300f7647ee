package sandbox_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/sandbox"
)

const childEnv = "HOLDFAST_TEST_CHILD"

// TestMain is also the process that becomes a server, and a drill that starts
// one and is killed.
func TestMain(m *testing.M) {
	if sandbox.IsInside() {
		fmt.Fprintln(os.Stderr, sandbox.Inside(os.Args[1:]))
		os.Exit(1)
	}
	if dir := os.Getenv(childEnv); dir != "" {
		if err := startAndWait(context.Background(), dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// startAndWait starts a server, says where it is, and waits to be killed.
func startAndWait(ctx context.Context, dir string) error {
	address := os.Getenv("HOLDFAST_TEST_CHILD_DOCKER")
	if address == "" {
		s, err := host(dir).Start(ctx, 0, "a test")
		if err == nil {
			fmt.Println(s.Dir)
			time.Sleep(time.Minute)
		}
		return err
	}
	d, err := inDaemon(ctx, address, dir)
	if err != nil {
		return err
	}
	s, err := d.Start(ctx, "a test")
	if err == nil {
		fmt.Println(s.Dir, s.Address.Get("host"))
		time.Sleep(time.Minute)
	}
	return err
}

func host(dir string) sandbox.Host {
	program, _ := os.Executable()
	h := sandbox.Host{Dir: dir, Inside: []string{program}}
	if v, err := splicetest.FindVersion(""); err == nil {
		h.Programs = v.Bin
	}
	return h
}

// base is a directory that any user reaches, short enough for sockets.
func base(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "hft-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func leftover(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A server starts, cannot reach anything, answers questions and is gone.
func TestAServerIsThrownAway(t *testing.T) {
	dir := base(t)
	s, err := host(dir).Start(t.Context(), 0, "a test")
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = s.Stop()
		}
	}()
	if os.Geteuid() == 0 && s.Isolation.Verdict != holdfast.Holds {
		t.Errorf("isolation: %+v", s.Isolation)
	}
	if err := s.Roles(t.Context(), []string{"owner", "pg_monitor", "owner"}); err != nil {
		t.Fatal(err)
	}
	for sql, want := range map[string]holdfast.Verdict{
		"SELECT true": holdfast.Holds, "SELECT 1 WHERE false": holdfast.Holds, "SELECT 1 FROM pg_roles WHERE rolname = 'nobody'": holdfast.Holds,
		"SELECT false": holdfast.Violated, "SELECT NULL::boolean": holdfast.Violated, "SELECT 1": holdfast.Violated, "VALUES (true), (true)": holdfast.Violated,
		"SELECT count(*) = 1 FROM pg_roles WHERE rolname = 'owner' AND NOT rolcanlogin": holdfast.Holds,
	} {
		if f, err := s.Ask(t.Context(), "postgres", sql); err != nil || f.Verdict != want || f.Evidence == "" {
			t.Errorf("%s: %+v, %v; want %s", sql, f, err, want)
		}
	}
	for _, sql := range []string{"CREATE TABLE t (i int)", "no sql"} {
		if f, err := s.Ask(t.Context(), "postgres", sql); err == nil {
			t.Errorf("%s: %+v", sql, f)
		}
	}
	// While it lives nobody cleans it away.
	if removed, err := host(dir).Clean(t.Context()); err != nil || len(removed) > 0 {
		t.Errorf("removed %v, %v", removed, err)
	}
	stopped = true
	if err := s.Stop(); err != nil || len(leftover(t, dir)) > 0 {
		t.Errorf("left %v, %v", leftover(t, dir), err)
	}
}

// A drill that is killed takes its server with it, and the next one removes
// what it left.
func TestWhatAKilledRunLeft(t *testing.T) {
	dir := base(t)
	program, _ := os.Executable()
	child := exec.Command(program)
	child.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(out).ReadString('\n')
	at := strings.TrimSpace(line)
	server := serverOf(t, at)
	if removed, err := host(dir).Clean(t.Context()); err != nil || len(removed) > 0 {
		t.Fatalf("of a run that lives, %v was removed, %v", removed, err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	for end := time.Now().Add(10 * time.Second); alive(server); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the server has outlived the drill")
		}
	}
	removed, err := host(dir).Clean(t.Context())
	if err != nil || !slices.Equal(removed, []string{at}) || len(leftover(t, dir)) > 0 {
		t.Errorf("removed %v, %v; left %v", removed, err, leftover(t, dir))
	}
}

// serverOf is the PID of the server in a sandbox's directory.
func serverOf(t *testing.T, dir string) int {
	t.Helper()
	var server struct{ PID int }
	text, err := os.ReadFile(filepath.Join(dir, "server.json"))
	if err == nil {
		err = json.Unmarshal(text, &server)
	}
	if err != nil || !alive(server.PID) {
		t.Fatalf("%q: %s, %v", dir, text, err)
	}
	return server.PID
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && syscall.Kill(pid, 0) == nil && !strings.Contains(string(text), ") Z ")
}

// A disk that a live server uses is not filled; the same disk without one may
// be.
func TestRoomBesideALiveServer(t *testing.T) {
	live := splicetest.NewServer(t, "")
	h := host(filepath.Dir(live.Socket()))
	h.KeepFree = 1
	if f, err := h.Room(1 << 20); err != nil || f.Verdict != holdfast.Holds {
		t.Errorf("a MiB next to %s: %+v, %v", live.DSN("postgres"), f, err)
	}
	h.KeepFree = 1 << 60
	f, err := h.Room(1 << 20)
	if holdfast.ClassOf(err) != holdfast.Refused || f.Verdict != holdfast.Violated || !strings.Contains(f.Evidence, "live server") {
		t.Errorf("%+v, %v", f, err)
	}
	if _, err := h.Room(1 << 60); err == nil {
		t.Error("more than the disk holds is taken")
	}
}

// A server takes its share, and live servers come first.
func TestAServerKeepsToItsShare(t *testing.T) {
	h := host(base(t))
	h.Share = sandbox.Share{Memory: 1 << 30, Processors: 1}
	s, err := h.Start(t.Context(), 0, "a test")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop() }()
	of := func(name string) string { // the server's process, as the machine sees it
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", serverOf(t, s.Dir), name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if got := strings.TrimSpace(of("oom_score_adj")); got != "1000" {
		t.Errorf("the kernel ends it by score %s", got)
	}
	_, after, _ := strings.Cut(of("stat"), ") ")
	if nice := strings.Fields(after)[16]; nice != "10" && nice != "19" {
		t.Errorf("nice %s", nice)
	}
	_, after, _ = strings.Cut(of("status"), "Cpus_allowed_list:")
	if list := strings.Fields(after)[0]; strings.ContainsAny(list, "-,") {
		t.Errorf("processors %s", list)
	}
	if !strings.Contains(of("limits"), "Max data size             1073741824") {
		t.Errorf("limits\n%s", of("limits"))
	}
}

// Programs of a version that is not there are named.
func TestMissingPrograms(t *testing.T) {
	_, err := host(base(t)).Start(t.Context(), 99, "a test")
	if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("%v", err)
	}
}
