package libpq

import (
	"context"
	"holdfast"
	"net"
	"strings"
	"testing"
)

// TestTheLineThatLetsIn: the address is the one that the server refuses, in
// whatever language it says so.
func TestTheLineThatLetsIn(t *testing.T) {
	info, err := Parse("host=db user=cnadmin dbname=participant-4")
	if err != nil {
		t.Fatal(err)
	}
	for refusal, want := range map[string]string{
		`no pg_hba.conf entry for host "172.18.0.1", user "cnadmin", database "participant-4", no encryption`: "172.18.0.1/32",
		`pg_hba.conf rejects connection for host "fd00::1", user "cnadmin", database "participant-4"`:         "fd00::1/128",
		`kein pg_hba.conf-Eintrag für Host »172.18.0.1«, Benutzer »cnadmin«`:                                  "172.18.0.1/32",
		`role "cnadmin" is not permitted to log in`:                                                           "ADDRESS/32",
	} {
		if got := (Address{Conninfo: info}).letIn(refusal); got != `host "participant-4" "cnadmin" `+want+` scram-sha-256` {
			t.Errorf("%s: got %s", refusal, got)
		}
	}
}

// TestWhatTheWaySaysIsNotLost: a dialler knows what it goes through, and what to
// type about it.
func TestWhatTheWaySaysIsNotLost(t *testing.T) {
	info, err := Parse("host=db user=cnadmin dbname=participant-4 sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	at := Address{Conninfo: info, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, &holdfast.Problem{Class: holdfast.Unreachable, What: "container db is paused", Do: "`docker unpause db`."}
	}}
	_, err = at.Connect(t.Context(), Options{})
	if _, do := holdfast.Advice(err); do != "`docker unpause db`." || !strings.Contains(err.Error(), "container db is paused") {
		t.Errorf("got %v; next: %s", err, do)
	}
}
