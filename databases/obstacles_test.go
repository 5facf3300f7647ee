package databases_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/step"
	"holdfast/target"
)

// fits is a loader that looks at nothing.
type fits struct{ databases.Loader }

func (fits) Survey(context.Context, holdfast.Part) (target.Compatibility, error) {
	return target.Compatibility{}, nil
}

func (fits) Recipe(holdfast.Part, target.Compatibility) string { return "" }

func targetOf(t *testing.T, dsn string) databases.Target {
	t.Helper()
	info, err := libpq.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return databases.Target{Now: time.Now,
		Live: databases.Live{
			Node:      holdfast.Node{Name: "n", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
			Addresses: map[holdfast.ComponentName]libpq.Address{"app": {Conninfo: info}},
		},
		Loader: func(holdfast.ComponentName, libpq.Address) databases.Loader { return fits{} },
	}
}

func session(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// Whatever Postgres would refuse to rename a database for is found beforehand,
// by a role without privileges too, with the statement that removes it. The
// statements are run as they are printed, and then the rename works.
func TestWhatARenameIsRefusedForIsFoundWithItsRemedy(t *testing.T) {
	server := splicetest.NewServerWith(t, splicetest.Options{Settings: map[string]string{
		"wal_level": "logical", "max_prepared_transactions": "5",
	}})
	const set = "20261122T154500Z-1f0c9a3e"
	for _, sql := range []string{
		`CREATE ROLE keeper LOGIN CREATEDB`, `CREATE ROLE watcher LOGIN`, `CREATE DATABASE app OWNER keeper`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		`SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')`,
		`CREATE SUBSCRIPTION mirror CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = 's')`,
		`ALTER SUBSCRIPTION mirror ENABLE`,
		`BEGIN; CREATE TABLE half (x int); PREPARE TRANSACTION 'left''over'`,
	} {
		if err := server.Exec(t.Context(), "app", sql); err != nil {
			t.Fatal(err)
		}
	}
	session(t, server.DSNAs("watcher", "app"))

	p := targetOf(t, server.DSNAs("keeper", "app"))
	look := func() target.Database {
		d, err := p.Look(t.Context(), set, holdfast.Part{Captured: holdfast.Captured{Component: "app", Kind: holdfast.App}})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	found := look()
	for _, want := range []string{"(pid ", "prepared transaction left'over (user postgres", "subscription mirror"} {
		if !slices.ContainsFunc(found.Obstacles, func(o target.Obstacle) bool { return strings.Contains(o.What, want) }) {
			t.Errorf("nothing says %q: %+v", want, found.Obstacles)
		}
	}
	if len(found.Obstacles) != 3 {
		t.Errorf("in the way are %+v", found.Obstacles)
	}
	if len(found.Stays) != 1 || len(found.Slots) != 1 {
		t.Errorf("with the old database stay %+v, %+v", found.Stays, found.Slots)
	}
	rename := step.Step{Act: step.Rename, Kind: step.Server, Name: "app", Moves: []step.Move{
		{From: "app", To: found.Previous, Label: &step.Label{Role: step.Previous, Database: "app", Component: "app", Set: set}},
	}}
	err := p.Rename(t.Context(), rename)
	if why, do := holdfast.Advice(err); holdfast.ClassOf(err) != holdfast.Refused || why == "" ||
		!strings.Contains(do, "ROLLBACK PREPARED 'left''over'; (in database app)") {
		t.Errorf("the rename ends with %v: %s", err, do)
	}
	for _, o := range found.Obstacles {
		in := o.In
		if in == "" {
			in = "postgres"
		}
		if err := server.Exec(t.Context(), in, o.End); err != nil {
			t.Errorf("%s: %v", o.Remedy(), err)
		}
	}
	for range 50 {
		if len(look().Obstacles) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err := p.Rename(t.Context(), rename); err != nil {
		t.Fatalf("when nothing is in the way: %v", err)
	}

	// To drop it is refused for more, and the refusal says how to go on.
	left, err := p.Leftovers(t.Context())
	if err != nil || len(left) != 1 {
		t.Fatalf("%+v, %v", left, err)
	}
	err = p.Remove(t.Context(), left)
	if _, do := holdfast.Advice(err); !strings.Contains(do, "DROP SUBSCRIPTION mirror; (in database") {
		t.Errorf("dropping it ends with %v: %s", err, do)
	}
	for _, sql := range []string{`ALTER SUBSCRIPTION mirror SET (slot_name = NONE)`, `DROP SUBSCRIPTION mirror`} {
		if err := server.Exec(t.Context(), found.Previous, sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Remove(t.Context(), left); err != nil {
		t.Error(err)
	}
	var slots int
	if err := session(t, server.DSN("postgres")).QueryRow(t.Context(),
		`SELECT count(*) FROM pg_replication_slots`).Scan(&slots); err != nil || slots != 0 {
		t.Error(fmt.Errorf("%d slots are left of the dropped database: %w", slots, err))
	}
}
