package target

import (
	"fmt"
	"strings"

	"holdfast"
)

// Obstacle is something for which Postgres refuses to rename or to drop a
// database, with the statement that removes it.
type Obstacle struct {
	What string `json:"what"`          // "prepared transaction left-over-1 of cnadmin"
	End  string `json:"end"`           // the statement that removes it
	In   string `json:"in,omitempty"`  // the database to run it in; "": any of the server
	PID  int    `json:"pid,omitempty"` // of a session, which may end by itself
}

// Remedy is the statement, and where to run it.
func (o Obstacle) Remedy() string {
	if o.In == "" {
		return o.End
	}
	return fmt.Sprintf("%s (in database %s)", o.End, o.In)
}

// Held is a database, for people, with what uses it.
type Held struct {
	Database  string
	Obstacles []Obstacle
}

// InUse is the refusal to rename or to drop databases that something uses.
func InUse(held ...Held) *holdfast.Problem {
	var what, remedies []string
	for _, h := range held {
		var who []string
		for _, o := range h.Obstacles {
			who, remedies = append(who, o.What), append(remedies, o.Remedy())
		}
		if len(who) == 0 {
			who = append(who, "somebody who has left since")
		}
		what = append(what, fmt.Sprintf("%s is in use by %s", h.Database, strings.Join(who, ", ")))
	}
	p := &holdfast.Problem{
		Class: holdfast.Refused,
		What:  strings.Join(what, "; "),
		Why: "Postgres renames and drops only databases that nothing uses. A running participant or validator app" +
			" would write into the database that is being replaced.",
		Do: "Stop the validator app and the participant, close other sessions, and try again.",
	}
	if len(remedies) > 0 {
		p.Do += " To end what stays: " + strings.Join(remedies, " ")
	}
	return p
}
