package bundle

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
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
