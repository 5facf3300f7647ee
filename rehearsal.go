package holdfast

import (
	"fmt"
	"strings"
	"time"
)

// Rehearsal is what became of a component's schema when a backup loaded it into
// an empty database, as a restore loads it. It is done again when the schema
// changes; until then later sets carry it.
type Rehearsal struct {
	Set       SetID         `json:"set"` // whose run did it
	At        time.Time     `json:"at"`
	Took      time.Duration `json:"took_ns"`
	Place     string        `json:"place"`  // "next to database orders at /run/postgresql"
	Server    Server        `json:"server"` // that took the schema
	Obstacles []Obstacle    `json:"obstacles,omitempty"`
	// Bound are extensions that were left out of it: the server makes them only in
	// the database that has the live one's name. A restore gives the new one that
	// name meanwhile, so it has to be free.
	Bound []string `json:"bound,omitempty"`
	// Unknown says why it could not be done, and Do what would let it be done.
	Unknown string `json:"unknown,omitempty"`
	Do      string `json:"do,omitempty"`
}

// Obstacle is an object that a restore would stop at.
type Obstacle struct {
	Object     string `json:"object"`               // "check kind_is_known of table public.goods"
	Definition string `json:"definition,omitempty"` // the statement that makes it
	Refusal    string `json:"refusal"`              // what Postgres says, or would say
	Code       string `json:"sqlstate,omitempty"`   // of the refusal, where Postgres said it
	Do         string `json:"do"`
}

// Verdict says whether the schema comes back.
func (r Rehearsal) Verdict() Verdict {
	switch {
	case len(r.Obstacles) > 0:
		return Violated
	case r.Unknown != "":
		return CannotTell
	}
	return Holds
}

// Finding is the verdict with its evidence.
func (r Rehearsal) Finding() Finding {
	switch v := r.Verdict(); v {
	case Violated:
		more := ""
		if n := len(r.Obstacles) - 1; n > 0 {
			more = fmt.Sprintf(" (and %d more)", n)
		}
		first := r.Obstacles[0]
		return Finding{v, fmt.Sprintf("%s would not come back: %s%s", first.Object, first.Refusal, more)}
	case CannotTell:
		return Finding{v, r.Unknown}
	default:
		bound := ""
		if len(r.Bound) > 0 {
			bound = fmt.Sprintf("; extension %s is made only in a database of that name, so a restore needs a server "+
				"where no other has it", strings.Join(r.Bound, ", "))
		}
		return Finding{v, fmt.Sprintf("the schema was loaded %s in %v, by the run of set %s%s",
			r.Place, r.Took.Round(time.Millisecond), r.Set, bound)}
	}
}

// StandsFor reports whether the evidence is that of a later capture as well:
// the schema came back, and neither it nor the server's major version changed.
func (r Rehearsal) StandsFor(then, now Part) bool {
	return r.Verdict() == Holds && now.Schema != "" && then.Schema == now.Schema &&
		then.Server.Major() == now.Server.Major()
}

// obstacles are what the schemas of the set would stop a restore at. A schema
// that was not rehearsed costs no proof: nothing speaks against it.
func (s Set) obstacles() []Problem {
	var out []Problem
	for _, p := range s.Parts() {
		if p.Rehearsal == nil {
			continue
		}
		for _, o := range p.Rehearsal.Obstacles {
			out = append(out, Problem{
				Class: Violation,
				What:  fmt.Sprintf("set %s: %s: %s would not come back: %s", s.ID, p.Component, o.Object, o.Refusal),
				Why:   "A restore stops there: " + o.Definition,
				Do:    o.Do,
			})
		}
	}
	return out
}
