package check

import (
	"fmt"
	"strings"
	"time"

	"holdfast"
)

// Report is the answer to whether the node could be recovered today.
type Report struct {
	Node       holdfast.NodeName `json:"node"`
	At         time.Time         `json:"at"`
	Verdict    holdfast.Verdict  `json:"verdict"` // of the conditions together
	Conditions []Condition       `json:"conditions"`
	Routes     []Route           `json:"routes"`  // the ways back, the one that loses less first
	Runways    []Runway          `json:"runways"` // soonest first
	Loss       *Loss             `json:"loss"`    // null without a proven set
}

// Make judges everything that was observed, at the time now.
func Make(o Observations, now time.Time) Report {
	r := Report{
		Node:       o.Node.Name,
		At:         now,
		Conditions: Evaluate(o, now),
		Routes:     Routes(o, now),
		Runways:    Runways(o, now),
		Loss:       Losses(o, now),
	}
	r.Verdict = Verdict(r.Conditions)
	return r
}

// Verdict is the worst verdict of the conditions: violated, then cannot tell,
// then holds. A symptom does not count when its cause is among them.
func Verdict(list []Condition) holdfast.Verdict {
	verdict := holdfast.Holds
	for _, c := range list {
		if !silenced(c, list) {
			verdict = holdfast.Worst(verdict, c.Verdict)
		}
	}
	return verdict
}

func silenced(c Condition, list []Condition) bool {
	for _, other := range list {
		if other.Code == c.SilencedBy {
			return true
		}
	}
	return false
}

// Only is the report with only the conditions of those codes.
func (r Report) Only(codes ...Code) Report {
	var kept []Condition
	for _, c := range r.Conditions {
		for _, code := range codes {
			if c.Code == code {
				kept = append(kept, c)
			}
		}
	}
	r.Conditions, r.Verdict = kept, Verdict(kept)
	return r
}

// Err is nil when every condition holds. Otherwise it is a Problem of the class
// Violation, or of the class Undetermined when nothing is violated but an input
// is missing.
func (r Report) Err() error {
	var violated, unknown []string
	for _, c := range r.Conditions {
		switch {
		case silenced(c, r.Conditions) || c.Verdict == holdfast.Holds:
		case c.Verdict == holdfast.Violated:
			violated = append(violated, string(c.Code))
		default:
			unknown = append(unknown, string(c.Code))
		}
	}
	switch {
	case len(violated) > 0:
		return &holdfast.Problem{
			Class: holdfast.Violation,
			What:  fmt.Sprintf("violated: %s", strings.Join(violated, ", ")),
			Why:   "Recovery depends on it.",
			Do:    "`holdfast check --explain " + violated[0] + "` shows what it means and what to do.",
		}
	case len(unknown) > 0:
		return &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  fmt.Sprintf("cannot tell: %s", strings.Join(unknown, ", ")),
			Why:   "An input is missing, and Holdfast assumes nothing.",
			Do:    "`holdfast check --explain " + unknown[0] + "` shows which input, and how to supply it.",
		}
	}
	return nil
}
