package holdfast

// Verdict is the answer to a question about a set or a node. There are three,
// in text, JSON, metrics and pages alike; unknown is never folded into good.
type Verdict string

// The three verdicts.
const (
	Holds      Verdict = "holds"       // observed to be so
	Violated   Verdict = "violated"    // observed not to be so
	CannotTell Verdict = "cannot tell" // an input is missing; the evidence says which
)
