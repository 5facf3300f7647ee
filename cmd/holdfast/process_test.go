package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// operator runs commands as an operator does, each in a process of its own, in
// a directory of its own, against a node.
type operator struct {
	t   *testing.T
	dir string
	env []string
	*bench
}

func newOperator(t *testing.T, name string) *operator {
	t.Helper()
	o := &operator{t: t, dir: t.TempDir(), env: os.Environ(), bench: &bench{}}
	if err := o.start(name, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.close)
	return o
}

func (o *operator) command(args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd = exec.Command("holdfast", args...) //nolint:noctx // the tests signal it themselves
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = o.dir, o.env, stdout, stderr
	return cmd, stdout, stderr
}

// run runs one command, which has to end with that code, or -1 for any, and returns
// what it printed.
func (o *operator) run(code int, args ...string) (stdout, stderr string) {
	o.t.Helper()
	cmd, out, err := o.command(args...)
	_ = cmd.Run()
	if got := cmd.ProcessState.ExitCode(); got != code && code >= 0 {
		o.t.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, err)
	}
	return out.String(), err.String()
}

func (o *operator) query(sql string) (n int) {
	o.t.Helper()
	conn, err := pgx.Connect(context.Background(), o.dsn["server"])
	if err != nil {
		o.t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if err := conn.QueryRow(context.Background(), sql).Scan(&n); err != nil {
		o.t.Fatal(err)
	}
	return n
}

// reading is a program that reads a dump on standard input, whose end does not come.
func (o *operator) reading() (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	o.t.Helper()
	cmd, stdout, stderr = o.command("inspect", "-")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil { // more than a pipe holds: when it is gone, somebody is reading
		_, err = in.Write(bytes.Repeat([]byte("-- a dump, so far\n"), 60_000))
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return cmd, stdout, stderr
}

// Whoever has forgotten to give a dump on standard input is let go at once.
func TestInterruptedInspectionOfNothing(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		o := &operator{t: t, dir: t.TempDir(), env: os.Environ()}
		cmd, stdout, stderr := o.reading()
		began := time.Now()
		_ = cmd.Process.Signal(signal)
		_ = cmd.Wait()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%v: it took %v to end", signal, took)
		}
		if code := cmd.ProcessState.ExitCode(); code != 130 || stdout.Len() > 0 || !strings.Contains(stderr.String(), "holdfast: interrupted") {
			t.Errorf("%v: exit code %d, it said %q and %q", signal, code, stdout, stderr)
		}
	}
}

// A run that is interrupted ends at once, leaves nobody connected and no lock,
// publishes nothing, and does not stand in the way of the next one.
func TestInterruptedBackup(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "broken-off")
	// Rows that do not compress, so that there is something to interrupt.
	conn, err := pgx.Connect(t.Context(), o.dsn["participant"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE participant.bulk AS SELECT n, string_agg(sha256((n || ' ' || k)::bytea), '') AS b FROM generate_series(1, 32000) n, generate_series(1, 48) k GROUP BY n`); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	o.run(0, o.flags()...)
	reads := func() (yes bool) { // by a connection that is there: the moment is short
		if err := conn.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
			WHERE datname = 'participant-broken-off' AND state = 'active' AND query LIKE 'COPY %bulk%'`).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		return yes
	}
	sessions := `SELECT count(*) FROM pg_stat_activity WHERE datname LIKE '%-broken-off' AND pid NOT IN (pg_backend_pid(), ` +
		strconv.Itoa(int(conn.PgConn().PID())) + `)`
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd, stdout, stderr := o.command("backup")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for !reads() {
			select {
			case <-ended:
				t.Fatalf("it ended before it was interrupted: exit code %d\n%s%s", cmd.ProcessState.ExitCode(), stdout, stderr)
			case <-time.After(2 * time.Millisecond):
			}
		}
		began := time.Now()
		_ = cmd.Process.Signal(signal)
		<-ended
		if code := cmd.ProcessState.ExitCode(); code != 130 {
			t.Fatalf("%v: exit code %d\n%s%s", signal, code, stdout, stderr)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%v: it took %v to end", signal, took)
		}
		if !strings.Contains(stderr.String(), "holdfast: interrupted\n  No set was published.") || stdout.Len() > 0 {
			t.Errorf("%v: it said %q and %q", signal, stdout, stderr)
		}
		deadline := time.Now().Add(5 * time.Second)
		for o.query(sessions) > 0 && time.Now().Before(deadline) {
			time.Sleep(20 * time.Millisecond)
		}
		if n := o.query(sessions); n > 0 {
			t.Errorf("%v: %d sessions are left", signal, n)
		}
		if n := o.query(`SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE d.datname LIKE '%-broken-off' AND l.pid <> ` +
			strconv.Itoa(int(conn.PgConn().PID()))); n > 0 {
			t.Errorf("%v: %d locks are left", signal, n)
		}
		if out, _ := o.run(0, "list"); !strings.Contains(out, "No such sets") {
			t.Errorf("%v: there are sets: %s", signal, out)
		}
	}
	if out, _ := o.run(0, "backup"); !strings.Contains(out, "State      proven") {
		t.Errorf("the next run: %s", out)
	}
}

// commandLines collects the arguments of every process of this machine that is
// not one of our own test's.
func commandLines(ctx context.Context) func() string {
	var all strings.Builder
	seen := map[string]bool{}
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, f := range files {
				line, _ := os.ReadFile(f)
				if text := string(line); text != "" && !seen[text] {
					seen[text] = true
					all.WriteString(strings.ReplaceAll(text, "\x00", " ") + "\n")
				}
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	return func() string {
		done.Wait()
		return all.String()
	}
}

// No secret is printed, written in clear, or handed to a process as an
// argument, whatever the command.
func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	o := newOperator(t, "secrets")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	repository := "the-password-of-the-repository"
	write("pass", repository+"\n")
	// The connection strings have no password; it comes by another way, so that
	// it is not among the arguments of init, where the operator would have put it.
	o.env = append(o.env, "HOLDFAST_DATABASES_PARTICIPANT_PASSWORD=env:NODE_SECRET", "HOLDFAST_DATABASES_VALIDATOR_PASSWORD=env:NODE_SECRET", "NODE_SECRET="+nodePassword, "PGPASSWORD="+nodePassword)
	without := func(component string) string {
		return strings.Replace(o.bench.node.Participant.TCPDSN(databaseOf(o.dsn[component])), ":"+nodePassword+"@", "@", 1)
	}

	ctx, stop := context.WithCancel(t.Context())
	arguments := commandLines(ctx)
	var printed strings.Builder
	run := func(args ...string) string {
		t.Helper()
		stdout, stderr := o.run(0, args...)
		printed.WriteString(stdout + stderr)
		return stdout
	}
	run("init", "--no-input", "--node", "demo", "--repository", "repository", "--repository-password", "file:pass", "--keep", "kept", "--recovery-key-file", "recovery.key",
		"--database", "validator="+without("validator"), "--database", "participant="+without("participant"),
		"--identities-url", o.app.URL(), "--auth", "unsafe", "--audience", "https://validator.example.com")
	run("backup", "--output", "json")
	run("list")
	run("show", "latest", "--output", "json")
	run("config", "show", "--origin")
	run("identities", "fetch", "--output", "json")
	run("identities", "show")
	run("restore", "latest", "--output", "json")
	run("restore", "latest", "--yes")
	run("restore", "clean", "--output", "json")
	opened, _ := o.run(0, "identities", "open", "--key-file", "recovery.key") // which is there to print them
	stop()

	key, err := os.ReadFile(filepath.Join(o.dir, "recovery.key"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"the recovery key": strings.TrimSpace(string(key)), "the repository's password": repository, "the database's password": nodePassword,
	}
	for _, k := range privateKeys(t, opened) {
		secrets["private key "+k[:8]] = k
	}
	if len(secrets) < 5 {
		t.Fatalf("only %d secrets to look for", len(secrets))
	}
	places := map[string]string{"what was printed": printed.String(), "arguments of processes": arguments()}
	if !strings.Contains(places["arguments of processes"], "pg_dump") {
		t.Error("no pg_dump was seen: the arguments were not looked at")
	}
	_ = filepath.WalkDir(o.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || slices.Contains([]string{"recovery.key", "pass"}, d.Name()) {
			return err
		}
		text, err := os.ReadFile(path)
		places[strings.TrimPrefix(path, o.dir)] = string(text)
		return err
	})
	for where, text := range places {
		for what, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s is in %s", what, where)
			}
		}
	}
}

// privateKeys are the private keys of a dump, as they stand in it.
func privateKeys(t *testing.T, dump string) []string {
	t.Helper()
	var d struct {
		Keys []struct {
			KeyPair string `json:"keyPair"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(dump), &d); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range d.Keys {
		if k.KeyPair != "" {
			out = append(out, k.KeyPair)
		}
	}
	return out
}
