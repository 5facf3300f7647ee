package identities

import (
	"fmt"

	"holdfast"
)

// Participant is what a participant's database records about itself, for the two
// checks that compare. Nil or empty means unknown.
type Participant struct {
	ID          string   // "hint::1220…", with or without "PAR::" before it
	PrivateKeys []string // fingerprints in common_crypto_private_keys
	KMSKeys     []string // ids in common_kms_metadata_store
}

// ParticipantOf is the part of a participant's facts that the checks compare
// with; nil if the facts are unknown.
func ParticipantOf(facts *holdfast.ParticipantFacts) *Participant {
	if facts == nil {
		return nil
	}
	p := &Participant{ID: facts.ParticipantID, KMSKeys: facts.KMSKeys}
	for _, key := range facts.Keys {
		p.PrivateKeys = append(p.PrivateKeys, key.Fingerprint)
	}
	return p
}

// Finding is the result of one check of a dump.
type Finding struct {
	Number      int
	Code        string
	Title       string
	Verdict     holdfast.Verdict
	Evidence    string // what was found, or which input is missing
	Consequence string // what a violation means for recovery
}

// Report is the findings about one dump, in the order of their numbers. It
// contains no bytes of keys.
type Report []Finding

// Verdict is the worst verdict of the findings: violated, then cannot tell, then
// holds.
func (r Report) Verdict() holdfast.Verdict {
	verdict := holdfast.Holds
	for _, f := range r {
		switch f.Verdict {
		case holdfast.Violated:
			return holdfast.Violated
		case holdfast.CannotTell:
			verdict = holdfast.CannotTell
		}
	}
	return verdict
}

// Err is the first violation as a Problem, or nil. A missing input is not an
// error.
func (r Report) Err() error {
	for _, f := range r {
		if f.Verdict == holdfast.Violated {
			return &holdfast.Problem{
				Class: holdfast.Violation,
				What:  fmt.Sprintf("identities: %s: %s", f.Title, f.Evidence),
				Why:   f.Consequence,
				Do:    "Fetch the identities again from their node, and keep the older dump until a new one passes.",
			}
		}
	}
	return nil
}
