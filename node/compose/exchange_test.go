package compose

import (
	"context"
	"strings"
	"testing"

	"holdfast"
)

// A write-ahead log that lies in another place than the data keeps a new server
// from starting: such a volume makes no room, and nothing is stopped before that
// is said.
func TestAWriteAheadLogElsewhere(t *testing.T) {
	postgres := func(mounts []mounted, variables map[string]string) Container {
		c := Container{ID: "postgres", Name: "postgres", Image: "postgres:15", State: "running", mounts: mounts}
		c.Env.values = map[string]string{"POSTGRES_USER": "cnadmin"}
		for name, value := range variables {
			c.Env.values[name] = value
		}
		return c
	}
	at := func(inside string) mounted {
		return mounted{dataDirectory: dataDirectory{Path: "/srv" + inside}, inside: inside}
	}
	data := at("/var/lib/postgresql/data")
	for _, c := range []struct {
		name      string
		mounts    []mounted
		variables map[string]string
		refused   bool
	}{
		{"with the data", []mounted{data}, nil, false},
		{"in a mount", []mounted{data, at("/wal")}, map[string]string{"POSTGRES_INITDB_WALDIR": "/wal"}, true},
		{"below a mount", []mounted{data, at("/fast")}, map[string]string{"POSTGRES_INITDB_ARGS": "-k --waldir=/fast/wal"}, true},
		{"in the container", []mounted{data}, map[string]string{"POSTGRES_INITDB_ARGS": "-X /wal"}, true},
		{
			"in the mount of the data", []mounted{data},
			map[string]string{"POSTGRES_INITDB_WALDIR": "/var/lib/postgresql/data/wal", "PGDATA": "/var/lib/postgresql/data/main"}, false,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			now := Bundle{Project: "p"}.again([]Container{postgres(c.mounts, c.variables)})
			p := &Programs{Node: NewNode(nil, now), Fresh: true, Set: "set", Ready: func(context.Context) error { return nil }}
			keep, err := p.planKeep(t.Context(), now, nil)
			if c.refused {
				_, do := holdfast.Advice(err)
				if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(do, "docker cp") {
					t.Errorf("got %v, %v, advice %q", keep, err, do)
				}
				return
			}
			if err != nil || keep == nil {
				t.Errorf("got %v, %v", keep, err)
			}
		})
	}
}
