package bundle

import (
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
	overlay := "volumes:\n  postgres-splice:\n    driver: local\n    driver_opts: {type: none, o: bind, device: " + filepath.Join(mounted, "data") + "}\n"
	if err := os.WriteFile(filepath.Join(b.Dir, "compose-local.yaml"), []byte(overlay), 0o644); err != nil {
		t.Fatal(err)
	}
}
