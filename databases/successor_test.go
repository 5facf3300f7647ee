package databases_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

// A program that begins with nothing gets a database of a name that is free, and of
// a form that the charts make: where nothing is in the old one, that one.
func TestSuccessors(t *testing.T) {
	server := splicetest.NewServerWith(t, splicetest.Options{})
	for _, sql := range []string{
		`CREATE DATABASE "participant-4"`, `CREATE DATABASE participant_4_2`, `CREATE DATABASE "participant_4~before~x"`, `CREATE DATABASE validator`,
	} {
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Exec(t.Context(), "participant-4", `CREATE TABLE x (a int)`); err != nil {
		t.Fatal(err)
	}
	live := func(participant, validator string) databases.Live {
		at := func(database string) libpq.Address {
			info, err := libpq.Parse(server.DSN(database))
			if err != nil {
				t.Fatal(err)
			}
			return libpq.Address{Conninfo: info}
		}
		return databases.Live{
			Node: holdfast.Node{Components: []holdfast.Component{
				{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator}, {Name: "app", Kind: holdfast.App},
			}},
			Addresses: map[holdfast.ComponentName]libpq.Address{
				"participant": at(participant), "validator": at(validator), "app": at("postgres"),
			},
		}
	}
	names := func(l databases.Live) (names []string, living []string) {
		t.Helper()
		list, err := l.Successors(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		for _, s := range list {
			if strings.Join(s.Participants, " ") != "participant-4 participant_4_2 participant_4~before~x" {
				t.Errorf("of participants are %q", s.Participants)
			}
			names, living = append(names, fmt.Sprintf("%s %s %s", s.Kind, s.Was, s.Name)), append(living, s.Living...)
		}
		return names, living
	}
	got, living := names(live("participant-4", "validator")) // one has a table, the other has none
	if want := "[participant participant-4 participant_4_3 validator validator validator]"; fmt.Sprint(got) != want || len(living) > 0 {
		t.Errorf("got %v, connected %q, want %s", got, living, want)
	}
	if got, _ := names(live("gone", "validator")); got[0] != "participant gone gone" {
		t.Errorf("where no database is: %v", got)
	}
	if err := server.Exec(t.Context(), "postgres", `ALTER DATABASE "participant-4" ALLOW_CONNECTIONS false`); err != nil {
		t.Fatal(err)
	}
	if got, _ := names(live("participant-4", "validator")); got[0] != "participant participant-4 participant_4_3" {
		t.Errorf("where the database lets nobody in: %v", got)
	}

	sum := sha256.Sum256([]byte("validator"))
	app := session(t, server.DSN("validator"))
	if _, err := app.Exec(t.Context(), "SELECT pg_advisory_lock($1)", 1<<29|int64(binary.BigEndian.Uint32(sum[:4])&0x1fffff)<<8|99); err != nil {
		t.Fatal(err)
	}
	if _, living := names(live("participant-4", "validator")); len(living) != 1 || !strings.HasPrefix(living[0], "a live validator (pid ") {
		t.Errorf("connected %q", living)
	}
	if living, err := live("participant-4", "else").Connected(t.Context(), holdfast.Validator, "validator"); err != nil || len(living) != 1 {
		t.Errorf("connected %q, %v", living, err)
	}
}
