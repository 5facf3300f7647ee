package plain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/node/plain"
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
	node := plain.Node{Node: holdfast.Node{Name: "n", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		Targets: map[holdfast.ComponentName]libpq.Target{"app": {Conninfo: info}}}
	place := plain.Place{Node: node, Now: time.Now}
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
		if release, err = again(c.lock); err != nil {
			t.Errorf("a %s after the first: %v", c.name, err)
			continue
		}
		release()
	}
}

// again tries for as long as a server takes to notice that a session ended.
func again(lock func() (func(), error)) (release func(), err error) {
	for range 50 {
		if release, err = lock(); err == nil {
			return release, nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("still locked"), err)
}
