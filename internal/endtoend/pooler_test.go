package endtoend

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
	"holdfast/internal/testbed/program"
)

// settings are what a transaction of the node's own programs has to find.
const settings = `SELECT concat_ws(' ', current_setting('search_path'), current_setting('synchronous_commit'),
	current_setting('lock_timeout'), current_setting('enable_seqscan'), current_setting('datestyle'))`

// Through a pooler nothing is taken, and the sessions that the node's programs
// get next are as they were. The way out is named.
func TestAPoolerIsRefusedAndLeftAlone(t *testing.T) {
	all := []string{
		"search_path", "options", "statement_timeout", "lock_timeout", "idle_session_timeout",
		"idle_in_transaction_session_timeout", "default_transaction_read_only", "row_security",
	}
	node := splicetest.NewNode(t, splicetest.NodeOptions{TCP: true})
	app := splicetest.NewValidatorApp(t, node, splicetest.AppOptions{})
	for _, c := range []struct {
		mode    string
		ignored []string
		short   bool // in the short form too
	}{{"transaction", nil, false}, {"transaction", all, true}, {"session", nil, true}, {"session", all, false}} {
		if !c.short && !splicetest.Long() {
			continue
		}
		t.Run(fmt.Sprintf("%s-%d", c.mode, len(c.ignored)), func(t *testing.T) {
			throughPooler(t, node, app, splicetest.NewPooler(t, node.Participant, c.mode, c.ignored...))
		})
	}
}

func throughPooler(t *testing.T, node *splicetest.Node, app *splicetest.ValidatorApp, pooler *splicetest.Pooler) {
	w := newWorkshop(t)
	database := func(dsn func(string) string) []string {
		return []string{"--database", "validator=" + dsn(splicetest.ValidatorDatabase),
			"--database", "participant=" + dsn(splicetest.ParticipantDatabase)}
	}
	rest := []string{"--no-input", "--node", "demo", "--repository", "repository", "--recovery-key-file", "key",
		"--identities-url", app.URL(), "--auth", "unsafe", "--audience", splicetest.DefaultAudience}
	stop := traffic(t, pooler, splicetest.ParticipantDatabase)
	w.refuses(t, append(append([]string{"init"}, rest...), database(pooler.DSN)...)...)
	w.does(t, append(append([]string{"init"}, rest...), database(node.Participant.TCPDSN)...)...)
	w.does(t, "backup", "--quiet")
	w.lead(t, node, pooler)
	w.refuses(t, "backup", "--quiet")
	w.refuses(t, "restore", "latest")
	if out, _ := w.run("check"); !strings.Contains(out, "is a connection pooler") {
		t.Errorf("check does not say so:\n%s", out)
	}
	if n := stop(); n < 250 {
		t.Errorf("only %d transactions of others ran meanwhile", n)
	}
}

// traffic runs transactions of others through the pooler, at least 250, until
// it is ended; each has to see the server's own settings.
func traffic(t *testing.T, p *splicetest.Pooler, db string) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	seen := map[string]int{}
	var mu sync.Mutex
	for range 2 {
		done.Go(func() {
			for n := 0; ctx.Err() == nil || n < 130; n++ {
				got, err := foreign(p.DSN(db))
				if err != nil {
					got = err.Error()
				}
				mu.Lock()
				seen[got]++
				mu.Unlock()
			}
		})
	}
	return func() int {
		cancel()
		done.Wait()
		total := 0
		for got, n := range seen {
			total += n
			if got != `"$user", public on 0 on ISO, MDY` {
				t.Errorf("%d transactions of others saw: %s", n, got)
			}
		}
		return total
	}
}

// foreign is one transaction as the node's programs have them.
func foreign(dsn string) (got string, err error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", err
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
	conn, err := pgx.ConnectConfig(context.Background(), config)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.Background()) }()
	return got, conn.QueryRow(context.Background(), settings).Scan(&got)
}

// workshop is a directory in which the program is run as an operator runs it.
type workshop struct {
	dir, program string
	state        string          // directory of what services remember; "": each has its own
	as           func(*exec.Cmd) // whom the program runs as; nil: as whoever tests
}

func newWorkshop(t *testing.T) workshop {
	t.Helper()
	dir, remove, err := program.Directory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
	return workshop{dir: t.TempDir(), program: filepath.Join(dir, "holdfast")}
}

func (w workshop) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.program, args...)
	cmd.Dir = w.dir
	if w.as != nil {
		w.as(cmd)
	}
	return cmd
}

// run runs the program and returns all that it printed, and its exit code.
func (w workshop) run(args ...string) (string, int) {
	cmd := w.command(args...)
	out, _ := cmd.CombinedOutput()
	return string(out), cmd.ProcessState.ExitCode()
}

func (w workshop) does(t *testing.T, args ...string) {
	t.Helper()
	if out, code := w.run(args...); code != 0 {
		t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
}

func (w workshop) refuses(t *testing.T, args ...string) {
	t.Helper()
	out, code := w.run(args...)
	if code != 7 || !strings.Contains(out, "is a connection pooler, not the server") ||
		!strings.Contains(out, "port 5432") {
		t.Errorf("%v: exit code %d\n%s", args, code, out)
	}
}

// lead has the configuration lead through the pooler.
func (w workshop) lead(t *testing.T, node *splicetest.Node, p *splicetest.Pooler) {
	t.Helper()
	path := filepath.Join(w.dir, "holdfast.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	direct, through := fmt.Sprintf("port=%d ", node.Participant.Port()), fmt.Sprintf("port=%d ", p.Port())
	changed := strings.ReplaceAll(string(text), direct, through)
	if changed == string(text) {
		t.Fatalf("%q is not in:\n%s", direct, text)
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}
