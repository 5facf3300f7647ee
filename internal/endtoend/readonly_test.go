package endtoend

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody is a user who owns nothing of a test, as a pod's.
const nobody = 65534

// readOnly is a copy of the workshop whose program can write no file next to the
// configuration, as in a pod.
func (w workshop) readOnly(t *testing.T) workshop {
	t.Helper()
	dir, own := t.TempDir(), t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(w.dir)); err != nil {
		t.Fatal(err)
	}
	write := func(from, to, old, replacement string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err == nil && old != "" {
			text = []byte(strings.ReplaceAll(string(text), old, replacement))
		}
		if err == nil {
			err = os.WriteFile(to, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	kubeconfig := os.Getenv("KUBECONFIG")
	text, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	_, authority, _ := strings.Cut(string(text), "certificate-authority: '")
	authority, _, _ = strings.Cut(authority, "'")
	write(authority, filepath.Join(dir, "ca.crt"), "", "")
	write(kubeconfig, filepath.Join(dir, "kubeconfig"), authority, filepath.Join(dir, "ca.crt"))
	config := filepath.Join(dir, "holdfast.yaml")
	write(config, config, kubeconfig, filepath.Join(dir, "kubeconfig"))
	write(config, config, w.dir, dir)
	for _, path := range []string{dir, own, filepath.Dir(w.program)} {
		for ; path != filepath.Dir(path) && path != filepath.Clean(os.TempDir()); path = filepath.Dir(path) {
			if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	var user *syscall.Credential
	if os.Geteuid() == 0 { // who may write anywhere
		user = &syscall.Credential{Uid: nobody, Gid: nobody}
		for _, top := range []string{dir, own} {
			if err := filepath.WalkDir(top, func(path string, _ os.DirEntry, err error) error {
				if err == nil && path != dir {
					err = os.Chown(path, nobody, nobody)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		if err := os.Chmod(dir, 0o555); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(dir, 0o755) })
	}
	w.dir, w.as = dir, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
		cmd.Env = append(os.Environ(), "HOME="+own, "TMPDIR="+own, "CACHE_DIRECTORY="+own, "STATE_DIRECTORY="+own,
			"KUBECONFIG=")
	}
	return w
}
