package bundle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Main runs a package's tests on the daemon's host, that is in the network
// namespace where container addresses and published ports are reached. A
// package whose tests use a bundle has
//
//	func TestMain(m *testing.M) { bundle.Main(m) }
//
// Processes that its tests start are on that host too. Without a test bed it
// runs the tests where they are.
func Main(m *testing.M) {
	if err := Enter(); err != nil {
		fmt.Fprintln(os.Stderr, "enter the Docker test bed's network:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// Enter replaces this process by itself within the test bed's network
// namespace, unless it is there already or there is none. It is for a TestMain
// that cannot use Main.
func Enter() error {
	namespace := os.Getenv("HOLDFAST_TEST_DOCKER_NETNS")
	if namespace == "" {
		return nil
	}
	there, err := os.Stat(namespace)
	if err != nil {
		return fmt.Errorf("%w; start it again: eval \"$(internal/testbed/docker.sh)\"", err)
	}
	here, err := os.Stat("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if os.SameFile(here, there) {
		return nil
	}
	// A process with several threads cannot change its namespace; a new one can.
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{nsenter, "--net=" + namespace, "--", self}, os.Args[1:]...)
	return errors.Join(syscall.Exec(nsenter, args, os.Environ()), errors.New("nsenter did not start"))
}

// Require skips a test that has no Docker daemon, unless HOLDFAST_TEST_ALL asks
// for every test: then it fails. It returns the daemon's address, for
// DOCKER_HOST.
func Require(t testing.TB) string {
	t.Helper()
	address := os.Getenv("HOLDFAST_TEST_DOCKER")
	if address == "" {
		if os.Getenv("HOLDFAST_TEST_ALL") != "" {
			t.Fatal("HOLDFAST_TEST_DOCKER names no Docker daemon: eval \"$(internal/testbed/docker.sh)\"")
		}
		t.Skip("HOLDFAST_TEST_DOCKER names no Docker daemon: eval \"$(internal/testbed/docker.sh)\"")
	}
	return address
}

// AnotherDaemon starts a Docker daemon of a machine that has nothing: no image,
// no container, no route to a registry. It returns its address.
func AnotherDaemon(t testing.TB) string {
	t.Helper()
	Require(t)
	dir, err := os.MkdirTemp("", "dockerd-") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	socket, config := filepath.Join(dir, "docker.sock"), filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("dockerd", "--config-file", config, "--data-root", filepath.Join(dir, "data"), "--exec-root",
		filepath.Join(dir, "exec"), "--pidfile", filepath.Join(dir, "pid"),
		"-H", "unix://"+socket, "--storage-driver", "vfs", "--bridge=none", "--iptables=false", "--ip6tables=false",
		"--ip-forward=false", "--ip-masq=false", "--shutdown-timeout", "2")
	cmd.Stdout, cmd.Stderr = log, log
	// In a network of its own: it would take the test bed's bridge away.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		_ = log.Close()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ask := exec.Command("docker", "-H", "unix://"+socket, "info")
		if ask.Run() == nil {
			return "unix://" + socket
		}
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatalf("the other daemon does not answer:\n%s", said)
	return ""
}
