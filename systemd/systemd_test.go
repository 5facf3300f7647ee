package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/systemd"
)

func TestSay(t *testing.T) {
	if err := systemd.Say(systemd.Ready); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	t.Setenv("NOTIFY_SOCKET", path)
	if err := systemd.Say(systemd.Ready, systemd.Status("serves\ndemo")); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 100)
	n, err := l.Read(text)
	if got := string(text[:n]); err != nil || got != "READY=1\nSTATUS=serves demo" {
		t.Errorf("%q %v", got, err)
	}
	_ = l.Close()
	if err := systemd.Say(systemd.Alive); err == nil {
		t.Error("nobody listens, and it says nothing of that")
	}
}

func TestWatchdog(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0}, {"300000000", "", 5 * time.Minute}, {"300000000", strconv.Itoa(os.Getpid()), 5 * time.Minute},
		{"300000000", "1", 0}, {"x", "", 0}, {"-1", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got := systemd.Watchdog(); got != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
}

// Whatever stands in a path is a path in the unit.
func TestUnit(t *testing.T) {
	text := systemd.Unit{
		Program: "/usr/local/bin/holdfast", Arguments: []string{"/etc/my node/100%.yaml"}, User: "holdfast",
		Groups: []string{"docker"}, Directory: "/etc/my node", Writable: []string{"/var/backups/$HOME"},
	}.String()
	for _, want := range []string{
		"\nExecStart=/usr/local/bin/holdfast run \"/etc/my node/100%%.yaml\"\n", "\nUser=holdfast\nSupplementaryGroups=docker\n",
		"\nReadWritePaths=-/var/backups/$$HOME\n", "\nType=notify\n", "\nCapabilityBoundingSet=\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the unit lacks %q:\n%s", want, text)
		}
	}
	if root := (systemd.Unit{User: "root"}).String(); strings.Contains(root, "CapabilityBoundingSet") {
		t.Error("root without its rights cannot give a drill's server to another user")
	}
}
