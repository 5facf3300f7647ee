package holdfast

import (
	"slices"
	"strings"
)

// Verdict is the answer to a question about a set or a node. There are three,
// in text, JSON, metrics and pages alike; unknown is never folded into good.
type Verdict string

// The three verdicts.
const (
	Holds      Verdict = "holds"       // observed to be so
	Violated   Verdict = "violated"    // observed not to be so
	CannotTell Verdict = "cannot tell" // an input is missing; the evidence says which
)

// NoneApplies is a fourth word, for a Finding and a proof alone: no rule says
// what would have to be so, and nothing was compared. It neither raises nor
// lowers what the others say.
const NoneApplies Verdict = "none applies"

// Worst folds verdicts: a violation outweighs an unknown verdict, which
// outweighs what holds. Where no rule applies to any of them, none does to all.
func Worst(verdicts ...Verdict) Verdict {
	for _, v := range []Verdict{Violated, CannotTell, Holds, NoneApplies} {
		if slices.Contains(verdicts, v) {
			return v
		}
	}
	return Holds
}

// Together folds findings into one: the worst verdict, with the evidence of all
// that have it.
func Together(list []Finding) Finding {
	var verdicts []Verdict
	for _, f := range list {
		verdicts = append(verdicts, f.Verdict)
	}
	out := Finding{Verdict: Worst(verdicts...)}
	var evidence []string
	for _, f := range list {
		if f.Verdict == out.Verdict {
			evidence = append(evidence, f.Evidence)
		}
	}
	out.Evidence = strings.Join(evidence, "; ")
	return out
}

// Against reports whether a verdict speaks against what it is about.
func (v Verdict) Against() bool { return v != Holds && v != NoneApplies }
