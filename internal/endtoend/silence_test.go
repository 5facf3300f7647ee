package endtoend

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/grace"
	"holdfast/identities"
	"holdfast/internal/splicetest"
	"holdfast/internal/watchdog"
	"holdfast/secrets"
	"holdfast/setup"
)

// quiet is a node with a set of it, whose peers can be silenced.
type quiet struct {
	node   *splicetest.Node
	config string // that leads to it
	workshop
}

func newQuiet(t *testing.T) quiet {
	t.Helper()
	q := quiet{node: splicetest.NewNode(t, splicetest.NodeOptions{App: true, TCP: true}), workshop: newWorkshop(t)}
	app := splicetest.NewValidatorApp(t, q.node, splicetest.AppOptions{})
	server := q.node.Participant
	q.does(t, "init", "--no-input", "--node", "demo", "--repository", filepath.Join(q.dir, "repository"),
		"--recovery-key-file", filepath.Join(q.dir, "key"), "--identities-url", app.URL(), "--auth", "unsafe",
		"--audience", splicetest.DefaultAudience,
		"--database", "validator="+server.TCPDSN(splicetest.ValidatorDatabase),
		"--database", "participant="+server.TCPDSN(splicetest.ParticipantDatabase),
		"--database", "app="+server.TCPDSN(splicetest.AppDatabase))
	q.does(t, "backup", "--quiet")
	text, err := os.ReadFile(filepath.Join(q.dir, "holdfast.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	q.config = string(text)
	return q
}

// silence is one command, and the moment at which the server falls silent.
type silence struct {
	args []string
	at   string // what a client says that the server does not hear
	live bool   // the node's own databases are behind the line; else the place of a restore
}

func (s silence) String() string { return s.args[0] + " " + s.args[1] + " at " + s.at }

var (
	backing    = []string{"backup", "--quiet"}
	planning   = []string{"restore", "latest", "--component", "app", "--to", ""}
	restoring  = []string{"restore", "latest", "--component", "app", "--to", "", "--yes"}
	rehearsing = []string{"restore", "rehearse", "latest", "--component", "app", "--to", "", "--yes"}
)

func at(live bool, args []string, moments ...string) []silence {
	var out []silence
	for _, moment := range moments {
		out = append(out, silence{args, moment, live})
	}
	return out
}

// start starts the command with its line, in a directory of its own.
func (q quiet) start(t *testing.T, s silence, n int, limit string) (*exec.Cmd, *bytes.Buffer, *splicetest.Line) {
	t.Helper()
	port := q.node.Participant.Port()
	line := splicetest.NewLine(t, fmt.Sprintf("127.0.0.1:%d", port), s.at)
	config := q.config + "\nsilence_limit: " + limit + "\ndump: {connections: 6, lanes: 1}\n"
	if s.live {
		config = strings.ReplaceAll(config, fmt.Sprintf("port=%d ", port), fmt.Sprintf("port=%d ", line.Port()))
		// Another node, so that no other case holds its lock.
		config = strings.Replace(config, "node: demo\n", fmt.Sprintf("node: demo-%d\n", n), 1)
	}
	file := filepath.Join(q.dir, fmt.Sprintf("%d.yaml", n))
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--config", file}, s.args...)
	if i := slices.Index(args, ""); i >= 0 {
		args[i] = fmt.Sprintf("app=host=127.0.0.1 port=%d user=postgres sslmode=disable dbname=app-%d", line.Port(), n)
	}
	cmd := exec.Command(q.program, args...) //nolint:noctx // the test signals it itself
	out := &bytes.Buffer{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = t.TempDir(), out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	select {
	case <-line.Silent():
	case <-time.After(time.Minute):
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("the moment never came\n%s", out)
	}
	return cmd, out, line
}

// ends waits for the end of a command, for so long.
func ends(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, within time.Duration) (code int) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ended:
		return cmd.ProcessState.ExitCode()
	case <-time.After(within):
		_ = cmd.Process.Signal(syscall.SIGQUIT) // it says where it stands
		<-ended
		t.Fatalf("it did not end within %v\n%s", within, out)
		return 0
	}
}

// Whatever a command is at when the server falls silent: it gives up and says
// who does not answer, and it ends soon after SIGTERM. Nothing of it is left
// at the server when the connections are.
func TestASilentServer(t *testing.T) {
	q := newQuiet(t)
	turns := make(chan struct{}, 6) // they wait, mostly
	var one sync.Mutex              // backup of these databases at a time
	var all sync.WaitGroup
	n := 0
	run := func(name string, list []silence, limit string, test func(*testing.T, *exec.Cmd, *bytes.Buffer, silence)) {
		for _, s := range list {
			n++
			number := n
			all.Go(func() {
				if s.live && s.args[0] == "backup" {
					one.Lock()
					defer one.Unlock()
				}
				turns <- struct{}{}
				defer func() { <-turns }()
				t.Run(name+" "+s.String(), func(t *testing.T) {
					cmd, out, _ := q.start(t, s, number, limit)
					test(t, cmd, out, s)
				})
			})
		}
	}
	run("given up", slices.Concat(
		at(true, []string{"config", "check", "--live"}, "rolcreatedb"),
		at(true, []string{"check", "--output=json"}, "clock_timestamp"),
		at(true, []string{"backup", "--dry-run"}, "pg_largeobject_metadata"),
		at(true, backing, "user", "pg_backend_pid", "pg_try_advisory_lock", "LOCK TABLE", "pg_export_snapshot",
			"COPY ", "set_config('search_path'", "pg_shdepend"),
		at(false, planning, "rolcreatedb"),
		at(false, restoring, "pg_try_advisory_lock", "CREATE DATABASE", "set_config('search_path'", "FROM STDIN",
			"TO STDOUT", "CREATE INDEX", "ANALYZE", "setval", "COMMENT ON", "RENAME TO"),
		at(false, rehearsing, "DROP DATABASE"),
	), "2s", func(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, s silence) {
		code := ends(t, cmd, out, 30*time.Second)
		named := strings.Contains(out.String(), "does not answer any more") ||
			strings.Contains(out.String(), "cannot connect to") || strings.Contains(out.String(), "stands still")
		if s.args[0] == "backup" && code != 8 || !named {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	run("told to end", slices.Concat(
		at(true, backing, "LOCK TABLE", "COPY ", "set_config('search_path'"),
		at(false, restoring, "FROM STDIN", "CREATE INDEX", "set_config('search_path'", "RENAME TO"),
		at(false, rehearsing, "DROP DATABASE"),
	), "10m", func(t *testing.T, cmd *exec.Cmd, out *bytes.Buffer, s silence) {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		within := grace.End
		if s.at == "RENAME TO" {
			within = grace.Swap
		}
		code := ends(t, cmd, out, within+2*time.Second)
		// A rehearsal has proven the set by the time that it drops what it has built.
		if code != 130 && (s.at != "DROP DATABASE" || code != 0) {
			t.Errorf("exit code %d\n%s", code, out)
		}
	})
	all.Wait()
	left := 0
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if left = query[int](t, q.node.Participant.DSN("postgres"), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name LIKE 'holdfast%'`); left == 0 {
			return
		}
	}
	t.Errorf("%d sessions are left", left)
}

// The table in docs/operate.md says how long every peer is waited for, as the
// program does.
func TestTheTableOfPeers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "## When somebody does not answer\n")
	section, _, _ = strings.Cut(section, "\n## ")
	minutes := func(d time.Duration) string { return strings.TrimSuffix(d.String(), "0s") }
	for _, row := range []string{
		"| Postgres, to connect | `connect_timeout` of the connection string, else 10 s",
		"| Postgres, in a session: queries, `COPY`, index builds, renames, drops | `silence_limit`, " +
			minutes(watchdog.DefaultLimit),
		"| `pg_dump`, `pg_restore` | `silence_limit`, " + minutes(watchdog.DefaultLimit),
		"| Docker daemon, and what runs in its containers | `silence_limit`, " + minutes(watchdog.DefaultLimit),
		fmt.Sprintf("| validator app | %d s per request", int(identities.RequestTime.Seconds())),
		fmt.Sprintf("| OAuth2 issuer | %d s per request", int(identities.RequestTime.Seconds())),
		fmt.Sprintf("| Scan, admin API, metrics | %d s per request", int(setup.ObserveTime.Seconds())),
		"| command of an `exec:` secret | " + minutes(secrets.CommandTime),
		"| repository |",
		fmt.Sprintf("ends within %d s;\nwithin %d s", int(grace.End.Seconds()), int(grace.Swap.Seconds())),
	} {
		if !strings.Contains(section, row) {
			t.Errorf("docs/operate.md does not say %q", row)
		}
	}
}
