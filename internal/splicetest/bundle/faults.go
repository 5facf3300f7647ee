package bundle

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// smallDisk puts the database's volume on a file system of that many bytes.
func (b *Bundle) smallDisk(t testing.TB, bytes int64) {
	t.Helper()
	dir := t.TempDir()
	image, mounted := filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	for _, step := range [][]string{
		{"truncate", "-s", fmt.Sprint(bytes), image},
		{"mkfs.ext4", "-q", "-m", "0", image},
		{"mkdir", mounted},
		{"mount", "-o", "loop", image, mounted},
		{"mkdir", "-m", "700", filepath.Join(mounted, "data")},
		{"chown", "999:999", filepath.Join(mounted, "data")},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("make a disk of %d bytes: %v: %s", bytes, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mounted).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", mounted, err, out)
		}
	})
	overlay := "volumes:\n  postgres-splice:\n    driver: local\n    driver_opts: {type: none, o: bind, device: " +
		filepath.Join(mounted, "data") + "}\n"
	if err := os.WriteFile(filepath.Join(b.Dir, "compose-local.yaml"), []byte(overlay), 0o644); err != nil {
		t.Fatal(err)
	}
}

// RestartPostgres has the server end that many times by itself, and Docker start
// it again.
func (b *Bundle) RestartPostgres(ctx context.Context, times int) error {
	for range times {
		if _, err := b.Exec(ctx, "postgres-splice", "sh", "-c", "kill -QUIT 1"); err != nil {
			return err
		}
		for _, state := range []string{"starting", "healthy"} { // Docker asks again in a second or two
			if err := b.awaitState(ctx, b.Container("postgres-splice"), state); err != nil {
				return err
			}
		}
	}
	return nil
}

// BreakPostgres makes the database's next start fail, until MendPostgres. A
// server that runs goes on running.
func (b *Bundle) BreakPostgres(ctx context.Context) error {
	_, err := b.Exec(ctx, "postgres-splice", "sh", "-c",
		`echo "shared_preload_libraries = 'gone'" >>"$PGDATA/postgresql.auto.conf"`)
	return err
}

// MendPostgres undoes BreakPostgres, whether or not the container runs.
func (b *Bundle) MendPostgres(ctx context.Context) error {
	_, err := b.Docker(ctx, "run", "--rm", "--network", "none", "-v", b.Volume("postgres-splice")+":/data",
		"--entrypoint", "sed",
		"postgres:"+cmp.Or(b.options.Postgres, "15"), "-i", "/'gone'/d", "/data/postgresql.auto.conf")
	return err
}

// FillDisk leaves the database's volume that many bytes, of a bundle with a
// small disk, and returns the function that gives the rest back.
func (b *Bundle) FillDisk(ctx context.Context, leave int64) (func() error, error) {
	out, err := b.Exec(ctx, "postgres-splice", "sh", "-c", fmt.Sprintf(
		`free=$(df -B1 --output=avail "$PGDATA" | tail -1); fallocate -l $((free - %d)) "$PGDATA/ballast" && echo filled`, leave))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return func() error { // whether or not the server has gone down for want of room
		_, err := b.inVolume(context.WithoutCancel(ctx), b.Volume("postgres-splice"), "rm ballast")
		return err
	}, nil
}
