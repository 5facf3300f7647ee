package databases_test

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

func TestOneBackupAndOneRestoreAtATime(t *testing.T) {
	server := splicetest.NewServer(t, "")
	info, err := libpq.Parse(server.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE app"); err != nil {
		t.Fatal(err)
	}
	node := databases.Live{Node: holdfast.Node{Name: "n", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		Addresses: map[holdfast.ComponentName]libpq.Address{"app": {Conninfo: info}}}
	place := databases.Target{Live: node, Now: time.Now}
	for _, c := range []struct {
		name string
		lock func() (func(), error)
	}{
		{"backup", func() (func(), error) { return node.Lock(t.Context(), 0) }},
		{"restore", func() (func(), error) { return place.Lock(t.Context()) }},
	} {
		release, err := c.lock()
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if _, err := c.lock(); holdfast.ClassOf(err) != holdfast.Busy || !strings.Contains(err.Error(), "session ") {
			t.Errorf("a second %s beside the first: %v", c.name, err)
		}
		release()
		if release, err = c.lock(); err != nil {
			t.Errorf("a %s at once after the first: %v", c.name, err)
			continue
		}
		release()
	}
}
