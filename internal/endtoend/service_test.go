package endtoend

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
)

// service is `holdfast run` at work.
type service struct {
	cmd *exec.Cmd
	log log
}

// log may be read while a process writes it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (w workshop) serve(t *testing.T) *service {
	t.Helper()
	s := &service{cmd: exec.Command(w.program, "run")} //nolint:noctx // it is killed
	s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = w.dir, &s.log, &s.log
	state := w.state
	if state == "" {
		state = t.TempDir() // as on a machine of its own
	}
	s.cmd.Env = append(os.Environ(), "STATE_DIRECTORY="+state)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	return s
}

// kill ends it as a loss of power does.
func (s *service) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// says waits until the log has a line with these words.
func (s *service) says(t *testing.T, words ...string) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(s.log.String()) {
			all := true
			for _, word := range words {
				all = all && strings.Contains(line, word)
			}
			if all {
				return
			}
		}
	}
	t.Fatalf("the log has no line with %q:\n%s", words, s.log.String())
}

// Of two services of one node the one works and the other says why it waits; when
// the first is killed, the other takes the set.
func TestTwoServicesOfOneNode(t *testing.T) {
	server := splicetest.NewServer(t, "")
	execute(t, server.DSN("postgres"), "CREATE DATABASE app")
	dsn := server.DSN("app")
	execute(t, dsn, "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 100)")
	w := newWorkshop(t)
	w.does(t, "init", "--no-input", "--node", "demo", "--repository", "repository", "--database", "app="+dsn,
		"--identities-url", "-")
	file := filepath.Join(w.dir, "holdfast.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		text = append(text, "\nschedule: {check: never, watch: never, verify: never, drill: never, retention: never}\n"...)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn) // holds up the set of the first
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	first := w.serve(t)
	first.says(t, "backup begins")
	for deadline := time.Now().Add(time.Minute); query[int](t, dsn,
		"SELECT count(*) FROM pg_locks WHERE NOT granted") == 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	second := w.serve(t)
	second.says(t, "backup waits")
	first.kill()
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	second.says(t, "backup is done")
	if out, code := w.run("list", "--output", "json"); code != 0 || strings.Count(out, `"id"`) != 1 {
		t.Errorf("exit code %d\n%s", code, out)
	}
}
