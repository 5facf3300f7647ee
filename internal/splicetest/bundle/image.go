package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"holdfast/internal/splicetest"
)

//go:embed all:files
var files embed.FS

// registry is where the bundle's .env says its images are. Nothing is fetched
// from there: images with these names are made here.
const registry = "ghcr.io/digital-asset/decentralized-canton-sync/docker/"

// images are the stages of the Dockerfile and what the bundle calls them.
var images = []struct{ stage, name string }{
	{"canton-participant", registry + "canton-participant:" + splicetest.SpliceVersion},
	{"validator-app", registry + "validator-app:" + splicetest.SpliceVersion},
	{"web-ui", registry + "wallet-web-ui:" + splicetest.SpliceVersion},
	{"web-ui", registry + "ans-web-ui:" + splicetest.SpliceVersion},
	{"nginx", "nginx:1.27.1"},
	{"busybox", "busybox:1.37.0"},
	{"canton", registry + "canton:" + splicetest.SpliceVersion},
	{"splice-app", registry + "splice-app:" + splicetest.SpliceVersion},
}

// prepare makes the images in the daemon, unless those of the same program are
// there. Test processes that run at the same time take turns.
var prepare = sync.OnceValue(func() error {
	dir, err := os.MkdirTemp("", "holdfast-images-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	unlock, err := exclusive("images")
	if err != nil {
		return err
	}
	defer unlock()
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(dir, "splice"),
		"holdfast/internal/splicetest/imitation/cmd/splice")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the imitated programs: %w: %s", err, out)
	}
	program, err := os.ReadFile(filepath.Join(dir, "splice"))
	if err != nil {
		return err
	}
	recipe, err := files.ReadFile("files/Dockerfile")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(append(program, recipe...))
	done := "imitation:" + hex.EncodeToString(sum[:8])
	if _, err := docker(context.Background(), "image", "inspect", done); err == nil {
		return nil
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), recipe, 0o600); err != nil {
		return err
	}
	for _, i := range append(images, struct{ stage, name string }{"program", done}) {
		if _, err := docker(context.Background(), "build", "-q", "--target", i.stage, "-t", i.name, dir); err != nil {
			return fmt.Errorf("build image %s: %w", i.name, err)
		}
	}
	return nil
})

// exclusive waits for a lock that all users of this daemon share, and returns
// the function that gives it back.
func exclusive(what string) (func(), error) {
	socket := strings.TrimPrefix(os.Getenv("HOLDFAST_TEST_DOCKER"), "unix://")
	file, err := os.OpenFile(filepath.Join(filepath.Dir(socket), what+".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// Environ is the environment in which `docker` and `docker compose` speak with
// the test bed's daemon.
func Environ() []string {
	return append(os.Environ(),
		"DOCKER_HOST="+os.Getenv("HOLDFAST_TEST_DOCKER"), "DOCKER_CONFIG="+os.Getenv("HOLDFAST_TEST_DOCKER_CONFIG"),
		"DOCKER_BUILDKIT=0")
}

// docker runs one command of Docker and returns what it printed.
func docker(ctx context.Context, args ...string) (string, error) {
	return run(ctx, exec.CommandContext(ctx, "docker", args...))
}

func run(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	if cmd.Env == nil {
		cmd.Env = Environ()
	}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err,
			strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), ctx.Err()
}
