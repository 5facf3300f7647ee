package identities

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

func sameParticipant(d *Dump, p *Participant) (holdfast.Verdict, string) {
	if p.ID == "" {
		return holdfast.CannotTell, "the participant's own id is unknown"
	}
	id := "PAR::" + strings.TrimPrefix(p.ID, "PAR::")
	switch {
	case id == d.ID:
		return holdfast.Holds, "both are " + d.ID
	case d.Namespace() != "" && strings.HasSuffix(id, "::"+d.Namespace()):
		return holdfast.Violated, fmt.Sprintf("the dump is of %s, the database of %s: the namespace is the same, "+
			"the identifier is not; one of them is from before a re-onboarding", d.ID, id)
	}
	return holdfast.Violated, fmt.Sprintf("the dump is of %s, the database of %s", d.ID, id)
}

func keysCurrent(d *Dump, p *Participant) (holdfast.Verdict, string) {
	var private, kms []string
	for _, k := range d.Keys {
		switch {
		case k.KMSKey != "":
			kms = append(kms, k.KMSKey)
		case k.Fingerprint() != "":
			private = append(private, k.Fingerprint())
		}
	}
	if p.PrivateKeys == nil && len(kms) == 0 || p.KMSKeys == nil && len(kms) > 0 {
		return holdfast.CannotTell, "the keys in the participant's database are unknown"
	}
	var differ []string
	for _, side := range []struct {
		from, in []string
		text     string
	}{
		{p.PrivateKeys, private, "the database has key %s, the dump does not"},
		{p.KMSKeys, kms, "the database has KMS key %s, the dump does not"},
		{known(private, p.PrivateKeys), p.PrivateKeys, "the dump has key %s, the database does not"},
		{known(kms, p.KMSKeys), p.KMSKeys, "the dump has KMS key %s, the database does not"},
	} {
		for _, key := range side.from {
			if !slices.Contains(side.in, key) {
				differ = append(differ, fmt.Sprintf(side.text, short(brief(key))))
			}
		}
	}
	switch {
	case len(differ) == 0:
		return holdfast.Holds, fmt.Sprintf("the same %d keys as the participant's database", len(private)+len(kms))
	case d.hasUnknown():
		return holdfast.CannotTell, "keys of an unknown kind: " + strings.Join(differ, "; ")
	}
	return holdfast.Violated, strings.Join(differ, "; ")
}

// known returns the keys to compare, none if the other side is unknown.
func known(keys, other []string) []string {
	if other == nil {
		return nil
	}
	return keys
}
