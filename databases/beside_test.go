package databases_test

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"

	"holdfast"
	"holdfast/canton"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

// What the servers of a node have next to its databases is named, and who is
// alive on one is known by the lock of its program, from any database.
func TestWhatIsNextToTheNodesDatabases(t *testing.T) {
	server := splicetest.NewServerWith(t, splicetest.Options{})
	for _, sql := range []string{
		`CREATE ROLE backend LOGIN`, `CREATE DATABASE backend OWNER backend`, `CREATE DATABASE "participant-4"`,
		`CREATE DATABASE "participant-4~new~20261122T154500Z-1f0c9a3e"`, `CREATE TABLE notes (x int)`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	info, err := libpq.Parse(server.DSN("participant-4"))
	if err != nil {
		t.Fatal(err)
	}
	live := databases.Live{
		Node:      holdfast.Node{Components: []holdfast.Component{{Name: "participant", Kind: holdfast.Participant}}},
		Addresses: map[holdfast.ComponentName]libpq.Address{"participant": {Conninfo: info}},
	}
	found, err := live.Beside(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 3 || !strings.HasPrefix(found[0], "database backend (") || !strings.Contains(found[0], "owned by backend") ||
		!strings.HasPrefix(found[1], "database postgres ") || !strings.HasPrefix(found[2], "role backend ") {
		t.Errorf("found %q", found)
	}

	sum := sha256.Sum256([]byte("participant-4"))
	lock := 1<<29 | int64(binary.BigEndian.Uint32(sum[:4])&0x1fffff)<<8
	participant := session(t, server.DSN("participant-4"))
	if _, err := participant.Exec(t.Context(), "SELECT pg_advisory_lock($1)", lock); err != nil {
		t.Fatal(err)
	}
	other := session(t, server.DSN("participant-4"))
	if _, err := other.Exec(t.Context(), "SELECT pg_advisory_lock(1)"); err != nil { // somebody's own
		t.Fatal(err)
	}
	list, err := canton.Sessions(t.Context(), session(t, server.DSN("postgres")), "participant-4", "backend")
	if err != nil || len(list) != 2 {
		t.Fatalf("sessions %v, %v", list, err)
	}
	said := canton.Alive(list)
	if len(said) != 2 || !strings.HasPrefix(said[0], "a live participant (pid ") || said[1] != "1 other session" {
		t.Errorf("alive: %q", said)
	}
}
