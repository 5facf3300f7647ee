package sandbox_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// In a directory that everybody shares, somebody else's directory chooses neither
// what is removed nor where we connect, and nothing in it makes a drill wait.
func TestTrapsInTheTemporaryDirectory(t *testing.T) {
	dir := base(t)
	var connected atomic.Int32
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	go func() {
		for _, err := l.Accept(); err == nil; _, err = l.Accept() {
			connected.Add(1)
		}
	}()
	label := fmt.Sprintf(`{"purpose":"a trap","pid":1,"docker":"tcp://%s"}`, l.Addr())
	trap := func(name string, perm os.FileMode) string {
		at := filepath.Join(dir, "holdfast-drill-"+name)
		if err := os.Mkdir(at, perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(at, perm); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "drill.json"), []byte(label), 0o600); err != nil {
			t.Fatal(err)
		}
		old := time.Now().Add(-48 * time.Hour)
		if err := os.Chtimes(at, old, old); err != nil {
			t.Fatal(err)
		}
		return at
	}
	kept := []string{trap("unconfigured", 0o700), trap("writable", 0o777)}
	link := filepath.Join(dir, "holdfast-drill-link")
	if err := os.Symlink(base(t), link); err != nil {
		t.Fatal(err)
	}
	kept = append(kept, link)
	if os.Geteuid() == 0 {
		of := trap("another", 0o700)
		if err := os.Chown(of, 65534, 65534); err != nil {
			t.Fatal(err)
		}
		kept = append(kept, of)
	}
	// A label that is a pipe would be waited for; one that is a link names others.
	pipe, linked := trap("pipe", 0o700), trap("linked", 0o700)
	for _, at := range []string{pipe, linked} {
		if err := os.Remove(filepath.Join(at, "drill.json")); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(pipe, "drill.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(kept[0], "drill.json"), filepath.Join(linked, "drill.json")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := host(dir).Clean(ctx); err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
	if n := connected.Load(); n > 0 {
		t.Errorf("%d connections to where a label leads", n)
	}
	left := leftover(t, dir)
	for _, at := range kept {
		if !slices.Contains(left, at) {
			t.Errorf("%s was removed", at)
		}
	}
	// The daemon of the configuration is one that a label may name.
	h := host(dir)
	h.Daemons = []string{"tcp://" + l.Addr().String()}
	short, stop := context.WithTimeout(t.Context(), 2*time.Second)
	defer stop()
	_, _ = h.Clean(short)
	if connected.Load() == 0 {
		t.Error("the configured daemon was not looked at")
	}
}
