package bundle

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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

// UpLocalNet starts one and waits until its three validator apps are ready.
// Its containers have fixed names, so whoever asks for a second one waits.
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
	for name, from := range map[string]string{"compose.yaml": "files/localnet/compose.yaml", "postgres-entrypoint.sh": "files/validator/postgres-entrypoint.sh"} {
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
