package sandbox

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"

	"holdfast"
	"holdfast/internal/docker"
)

const (
	ipv4 = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
	ipv6 = "00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000001 00000000 80200001       lo\n"
	eth0 = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
)

// Whatever would let a byte out is found, and what cannot be tried proves
// nothing.
func TestWhatIsSeenOfANetwork(t *testing.T) {
	closed := "interface lo 0x9\nloopback Connection refused\nanywhere Network is unreachable\n" +
		"own /var/run/postgresql/.s.PGSQL.5432\nsocket /run/postgresql/.s.PGSQL.5432\nsearched yes\n"
	table := func(text string) string {
		return "route " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\nroute ") + "\n"
	}
	for _, c := range []struct {
		name, look string
		outside    error
		want       holdfast.Verdict
	}{
		{"nothing but the loopback", closed + table(ipv4) + table(ipv6), nil, holdfast.Holds},
		{"a tunnel's device that every namespace gets", "interface tunl0 0x80\n" + closed, nil, holdfast.Holds},
		{"a device that is up", "interface eth0 0x1003\n" + closed, nil, holdfast.Violated},
		{"a device of which nothing is known", "interface eth0 ?\n" + closed, nil, holdfast.Violated},
		{"a route", closed + table(ipv4+eth0), nil, holdfast.Violated},
		{"a route to anywhere", strings.Replace(closed, "Network is unreachable", reached, 1), nil, holdfast.Violated},
		{"the host's loopback", strings.Replace(closed, "Connection refused", reached, 1), nil, holdfast.Violated},
		{"a socket from outside", closed + "socket /run/docker.sock\n", nil, holdfast.Violated},
		{"nothing to search with", strings.Replace(closed, "searched yes\n", "", 1), nil, holdfast.CannotTell},
		{"nothing to try with", "interface lo 0x9\n", nil, holdfast.CannotTell},
		{"nothing to see", "loopback Connection refused\nanywhere Network is unreachable\n", nil, holdfast.CannotTell},
		{"a listener that nobody reaches", closed, errors.New("refused"), holdfast.CannotTell},
	} {
		if f := parseProbe(c.look).finding("in a test", c.outside); f.Verdict != c.want || f.Evidence == "" {
			t.Errorf("%s: %+v, want %s", c.name, f, c.want)
		}
	}
	if f := (probe{}).finding("in a test", nil); f.Verdict != holdfast.CannotTell {
		t.Errorf("without a namespace: %+v", f)
	}
}

// The operator's variables come first, then the node's, then the image's; the
// database is always the restored one.
func TestTheEnvironmentOfAParticipant(t *testing.T) {
	recorded := map[string]holdfast.Secret{}
	for name, value := range map[string]string{
		"PATH": "/old/bin", "AUTH_TARGET_AUDIENCE": "https://audience.example.com", "LOG_LEVEL_STDOUT": "INFO",
		"CANTON_PARTICIPANT_POSTGRES_SERVER": "postgres-splice", "CANTON_PARTICIPANT_POSTGRES_DB": "participant-4", "CANTON_PARTICIPANT_POSTGRES_PASSWORD": "live", "CANTON_PARTICIPANT_POSTGRES_SCHEMA": "participant",
	} {
		recorded[name] = holdfast.NewSecret(value)
	}
	image := docker.Image{Env: []string{"PATH=/new/bin", "LOG_LEVEL_STDOUT=DEBUG"}}
	got := Participant{Image: image, Recorded: recorded, Env: map[string]string{"LOG_LEVEL_STDOUT": "WARN", "CANTON_PARTICIPANT_POSTGRES_DB": "elsewhere"}}.environment("drill-participant")
	want := []string{"AUTH_TARGET_AUDIENCE=https://audience.example.com", "CANTON_PARTICIPANT_POSTGRES_DB=drill-participant", "CANTON_PARTICIPANT_POSTGRES_PASSWORD=none", "CANTON_PARTICIPANT_POSTGRES_PORT=5432",
		"CANTON_PARTICIPANT_POSTGRES_SCHEMA=participant", "CANTON_PARTICIPANT_POSTGRES_SERVER=127.0.0.1", "CANTON_PARTICIPANT_POSTGRES_USER=postgres", "LOG_LEVEL_STDOUT=WARN"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	bare := Participant{Image: image}.environment("x")
	for _, pair := range []string{"CANTON_PARTICIPANT_ADMIN_USER_NAME=ledger-api-user", "CANTON_PARTICIPANT_POSTGRES_SCHEMA=participant", "CANTON_PARTICIPANT_POSTGRES_DB=x"} {
		if !slices.Contains(bare, pair) {
			t.Errorf("a node of which nothing is known has no %s: %q", pair, bare)
		}
	}
}

// What belongs to a drill that lives is left alone, and what does not is not.
func TestWhichContainersAreLeft(t *testing.T) {
	now := time.Now()
	alive := newLabel("a test")
	dead, elsewhere := alive, alive
	dead.Started, elsewhere.Boot = "1", "another machine's"
	made := func(l label, age time.Duration, server string) container.Summary {
		text, _ := json.Marshal(l)
		c := container.Summary{ID: "it", Created: now.Add(-age).Unix(), Labels: map[string]string{labelKey: string(text)}}
		if server != "" {
			c.Labels[serverKey] = server
		}
		return c
	}
	for _, c := range []struct {
		name    string
		it      container.Summary
		running bool
		want    bool
	}{
		{"a server that runs", made(alive, time.Hour, ""), true, false},
		{"a server that runs for another machine", made(elsewhere, time.Hour, ""), true, false},
		{"a server of a dead drill", made(dead, time.Second, ""), true, true},
		{"one that is being made", made(elsewhere, time.Second, ""), false, false},
		{"one that never started", made(elsewhere, time.Hour, ""), false, true},
		{"a participant with its server", made(elsewhere, time.Second, "server"), true, false},
		{"a participant without its server", made(elsewhere, time.Second, "gone"), true, true},
		{"one whose label cannot be read", container.Summary{ID: "it", Created: now.Add(-time.Hour).Unix(), Labels: map[string]string{labelKey: "?"}}, false, true},
	} {
		if got := leftover(c.it, map[string]bool{"it": c.running, "server": true}, now); got != c.want {
			t.Errorf("%s: left is %v", c.name, got)
		}
	}
}
