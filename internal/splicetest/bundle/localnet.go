package bundle

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

// LocalNet is the development network: three nodes with one Postgres, one
// container for their participants and one for their validator apps.
type LocalNet struct {
	Dir string // with compose.yaml
}

// LocalNetNodes are the nodes of a LocalNet, with the digit that begins their
// ports: 3902 is the admin API of app-provider.
var LocalNetNodes = map[string]int{"app-user": 2, "app-provider": 3, "sv": 4}

// UpLocalNet starts one and waits until its three validator apps are ready. Its
// containers have fixed names, so a second user waits.
func UpLocalNet(t testing.TB) *LocalNet {
	t.Helper()
	Require(t)
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	unlock, err := exclusive("localnet")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	l := &LocalNet{Dir: t.TempDir()}
	for name, from := range map[string]string{
		"compose.yaml":           "files/localnet/compose.yaml",
		"postgres-entrypoint.sh": "files/validator/postgres-entrypoint.sh",
	} {
		text, err := fs.ReadFile(files, from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(l.Dir, name), text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := reachable(l.Dir); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := l.Compose(ctx, "logs", "--tail", "30")
			t.Logf("what the containers of LocalNet said:\n%s", out)
		}
		if _, err := l.Compose(ctx, "down", "-v", "-t", "2"); err != nil {
			t.Error(err)
		}
	})
	if _, err := l.Compose(ctx, "up", "-d", "--wait", "--wait-timeout", "300"); err != nil {
		t.Fatal(err)
	}
	return l
}

// Compose runs `docker compose` in LocalNet's directory.
func (l *LocalNet) Compose(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", append([]string{"compose"}, args...)...)
	cmd.Dir, cmd.Env = l.Dir, append(Environ(), "IMAGE_TAG="+splicetest.SpliceVersion)
	return run(ctx, cmd)
}

// DSN is the connection string of one of its databases.
func (l *LocalNet) DSN(database string) string {
	return "postgres://cnadmin:supersafe@127.0.0.1:5432/" + database + "?sslmode=disable"
}

// StartLoad makes the participant of a node write that many ledger updates a
// second and its validator app follow, and waits until some are there.
func (l *LocalNet) StartLoad(ctx context.Context, node string, rate int) error {
	address, err := docker(ctx, "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "canton")
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s:%d913/load?rate=%d", strings.TrimSpace(address), LocalNetNodes[node], rate)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, nil)
	if err != nil {
		return err
	}
	if _, err := answerOf(request); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		end, err := splicetest.LedgerEnd(ctx, l.DSN("participant-"+node))
		if err == nil && end > 20 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the ledger of %s ends at %d: %w", node, end, err)
		}
	}
}
