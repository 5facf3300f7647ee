package instances

import (
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/capture/snapshot"
	"holdfast/content"
)

// No restore goes on with a temporary instance, and nothing that a restore made is swept as
// one.
func TestTemporaryInstancesAreTheirOwn(t *testing.T) {
	restores, lifts := Target{Node: "demo"}, Target{Node: "demo", Until: time.Now()}
	m := made{set: set, from: "holdfast-s", of: "canton"}
	for _, c := range []struct {
		by, other Target
	}{{restores, lifts}, {lifts, restores}} {
		s := one(c.by.purpose().name(set, "canton"), "db-2", c.by.labels(m, content.Shape{}))
		if _, is := c.by.read(s); !is {
			t.Errorf("%s is not known to who made it", s.Name)
		}
		if _, is := c.other.read(s); is {
			t.Errorf("%s is taken for the other kind", s.Name)
		}
	}
	if _, is := lifts.read(one("canton", "db-1", lifts.labels(m, content.Shape{}))); is {
		t.Error("the live instance with copied labels is taken for a temporary instance")
	}
	s := forOnce(content.Shape{Class: "db.t4g.medium", Public: true, MultiAZ: true, Protected: true, Retention: 7})
	if s.Public || s.MultiAZ || s.Protected || s.Retention != 0 || s.Class != "db.t4g.medium" {
		t.Errorf("a temporary instance is set up as %+v", s)
	}
}

// A temporary instance of another server's snapshot is found by the server's identifier,
// whatever its databases say.
func TestATemporaryInstanceOfAnotherServer(t *testing.T) {
	facts := holdfast.Facts{Participant: &holdfast.ParticipantFacts{ParticipantID: "p::1220"}}
	part := holdfast.Part{
		Captured: holdfast.Captured{Component: "participant", Facts: facts, Before: &holdfast.Reading{Facts: facts}},
		Capture:  holdfast.Capture{Server: holdfast.Server{SystemID: "1"}},
	}
	for _, c := range []struct {
		target  Target
		cluster bool
		id      string
		says    string
	}{
		{Target{Until: time.Now()}, false, "1", ""},
		{Target{Until: time.Now()}, false, "2", "the system identifier of its server is 2, and was 1"},
		{Target{Until: time.Now()}, true, "2", ""}, // of which nobody has tried it
		{Target{}, false, "2", ""},                 // a rescue
	} {
		var found postgres.LiveReading
		found.Facts, found.Server.SystemID = facts, c.id
		err := c.target.judge(made{Server: snapshot.Server{Cluster: c.cluster}}, part, found)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("identifier %s: %v, want %q", c.id, err, c.says)
		}
	}
}
