package check

import (
	"fmt"
	"strings"
	"time"

	"holdfast"
)

// Report is the answer to whether the node could come back today.
type Report struct {
	Node       holdfast.NodeName `json:"node"`
	At         time.Time         `json:"at"`
	Verdict    holdfast.Verdict  `json:"verdict"` // of the conditions together
	Conditions []Condition       `json:"conditions"`
	Runways    []Runway          `json:"runways"` // soonest first
	Loss       *Loss             `json:"loss"`    // null without a proven set
}

// Make judges everything that was observed, at the time now.
func Make(o Observations, now time.Time) Report {
	r := Report{Node: o.Node.Name, At: now, Conditions: Evaluate(o, now), Runways: Runways(o, now), Loss: Losses(o, now)}
	r.Verdict = Verdict(r.Conditions)
	return r
}

// Verdict folds conditions: a violation outweighs what cannot be told, which
// outweighs what holds. A symptom counts through its cause alone, if that is
// among them.
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

// Only is the report with the conditions of those codes alone.
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
// Violation, or Undetermined when nothing is violated but something cannot be
// told.
func (r Report) Err() error {
	var violated, untold []string
	for _, c := range r.Conditions {
		switch {
		case silenced(c, r.Conditions) || c.Verdict == holdfast.Holds:
		case c.Verdict == holdfast.Violated:
			violated = append(violated, string(c.Code))
		default:
			untold = append(untold, string(c.Code))
		}
	}
	switch {
	case len(violated) > 0:
		return &holdfast.Problem{Class: holdfast.Violation, What: fmt.Sprintf("violated: %s", strings.Join(violated, ", ")),
			Why: "Recovery depends on it.", Do: "`holdfast check --explain " + violated[0] + "` says what it means and what to do."}
	case len(untold) > 0:
		return &holdfast.Problem{Class: holdfast.Undetermined, What: fmt.Sprintf("cannot tell: %s", strings.Join(untold, ", ")),
			Why: "An input is missing, and nothing is taken for granted.", Do: "`holdfast check --explain " + untold[0] + "` says which, and what supplies it."}
	}
	return nil
}
