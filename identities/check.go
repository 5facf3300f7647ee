package identities

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"holdfast"
)

var participantRule = regexp.MustCompile(`^PAR::.+::1220[0-9a-f]{64}$`)

// check is one of the eight checks.
type check struct {
	code        string
	title       string
	consequence string
	judge       func(*Dump, *Participant) (holdfast.Verdict, string)
}

// checks lists the checks in order: first those of any file, last those that
// compare with the participant's database.
func checks() []check {
	return []check{
		{
			"dump_whole", "the dump is complete",
			"Nothing can be restored from it.", whole,
		},
		{
			"dump_of_participant", "the dump is a participant's",
			"A participant cannot be restored from another kind of member.", ofParticipant,
		},
		{
			"dump_readable", "every part decodes",
			"The import stops at the damaged part.", readable,
		},
		{
			"namespace_key_present", "the dump contains the namespace's own key",
			"Without that key no party of this node can be recovered.", namespaceKey,
		},
		{
			"keys_match_fingerprints", "every private key matches its fingerprint",
			"The node cannot sign or decrypt with a damaged key.", keysMatch,
		},
		{
			"snapshot_importable", "the snapshot has everything that the import needs",
			"The validator app would refuse to start from this dump.", importable,
		},
		{
			"same_participant", "the dump belongs to this participant",
			"Restored together with this database, it would be another node.", sameParticipant,
		},
		{
			"keys_current", "the dump has the keys in use now",
			"Whatever is encrypted to or signed with the missing keys is lost.", keysCurrent,
		},
	}
}

// Check runs the eight checks of a dump, without a network. If against is nil,
// the two checks that compare with the participant's database cannot tell.
func (d *Dump) Check(against *Participant) Report {
	if against == nil {
		against = &Participant{}
	}
	var report Report
	for n, c := range checks() {
		const page = 2000
		verdict, evidence := c.judge(d, against)
		f := Finding{
			Number:   n + 1,
			Code:     c.code,
			Title:    c.title,
			Verdict:  verdict,
			Evidence: line(evidence, page),
		}
		if verdict != holdfast.Holds {
			f.Consequence = c.consequence
		}
		report = append(report, f)
	}
	return report
}

// whole holds for everything that Parse returned.
func whole(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	evidence := fmt.Sprintf("an id, %d keys and a topology snapshot", len(d.Keys))
	if d.SuperValidator {
		evidence += ", from the participant's part of an SV's dump"
	}
	return holdfast.Holds, evidence
}

func ofParticipant(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	if participantRule.MatchString(d.ID) {
		return holdfast.Holds, "id " + d.ID
	}
	switch prefix, _, _ := strings.Cut(d.ID, "::"); prefix {
	case "SEQ":
		return holdfast.Violated, "id " + d.ID + " is a sequencer's"
	case "MED":
		return holdfast.Violated, "id " + d.ID + " is a mediator's"
	}
	return holdfast.Violated, "id " + d.ID + " is not PAR::<identifier>::1220 and 64 hex digits"
}

func readable(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	var broken, unsure []string
	for n, k := range d.Keys {
		switch {
		case k.Broken != "":
			broken = append(broken, fmt.Sprintf("%s: %s", k.label(n), k.Broken))
		case k.Unknown != "" && k.Purpose == "":
			unsure = append(unsure, fmt.Sprintf("%s: %s", k.label(n), k.Unknown))
		}
	}
	switch {
	case d.snapshotError == nil:
	case errors.Is(d.snapshotError, errNewer):
		unsure = append(unsure, "snapshot: "+errNewer.Error())
	default:
		broken = append(broken, "snapshot: "+d.snapshotError.Error())
	}
	switch {
	case len(broken) > 0:
		return holdfast.Violated, strings.Join(broken, "; ")
	case len(unsure) > 0:
		return holdfast.CannotTell, strings.Join(unsure, "; ")
	}
	return holdfast.Holds, fmt.Sprintf("%d keys and the snapshot", len(d.Keys))
}

func (d *Dump) hasKMS(purpose string) bool {
	return slices.ContainsFunc(d.Keys, func(k Key) bool { return k.KMSKey != "" && k.Purpose == purpose })
}

// hasUnknown reports whether the fingerprint of a key is unknown: a missing key
// may be that one.
func (d *Dump) hasUnknown() bool {
	return slices.ContainsFunc(d.Keys, func(k Key) bool { return k.Unknown != "" && k.Claimed == "" })
}

// label names a key for the operator: by its name, else by its position.
func (k Key) label(n int) string {
	if k.Name != "" {
		return k.Name
	}
	return fmt.Sprintf("key %d", n+1)
}

// short is enough of a fingerprint to recognise it.
func short(fingerprint string) string {
	const enough = 16
	if fingerprintRule.MatchString(fingerprint) {
		return fingerprint[:enough] + "…"
	}
	return fingerprint
}
