package identities

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"holdfast"
)

var participantRule = regexp.MustCompile(`^PAR::.+::1220[0-9a-f]{64}$`)

// check is one of the eight questions.
type check struct {
	code        string
	title       string
	consequence string
	answer      func(*Dump, *Participant) (holdfast.Verdict, string)
}

// checks lists the questions in order: from what any file can fail to what
// needs the participant's database beside it.
func checks() []check {
	return []check{
		{"dump_whole", "the dump is whole", "Nothing can be restored from it.", whole},
		{"dump_of_participant", "the dump is a participant's", "A participant cannot be restored from another kind of member.", ofParticipant},
		{"dump_readable", "every part decodes", "The import stops at the damaged part.", readable},
		{"namespace_key_present", "the namespace's own key is in it", "Without that key no party of this node can be recovered.", namespaceKey},
		{"keys_match_fingerprints", "every private key is the one it says", "The node cannot sign or decrypt with a damaged key.", keysMatch},
		{"snapshot_importable", "the snapshot has what the import needs", "The validator app would refuse to start from this dump.", importable},
		{"same_participant", "it belongs to this participant", "Restored beside this database, it would be another node.", sameParticipant},
		{"keys_current", "it has the keys in use now", "What was encrypted to or signed with the missing keys is lost.", keysCurrent},
	}
}

// Check answers the eight questions about a dump that need no network.
// Against may be nil; then the two that compare with the participant's
// database cannot be told.
func (d *Dump) Check(against *Participant) Report {
	if against == nil {
		against = &Participant{}
	}
	var report Report
	for n, c := range checks() {
		const page = 2000
		verdict, evidence := c.answer(d, against)
		f := Finding{Number: n + 1, Code: c.code, Title: c.title, Verdict: verdict, Evidence: line(evidence, page)}
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
		evidence += ", the participant's part of an SV's dump"
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
	switch d.snapshotError {
	case nil:
	case errNewer:
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

func namespaceKey(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	namespace := d.Namespace()
	if namespace == "" {
		return holdfast.CannotTell, "the id has no namespace"
	}
	unsure := ""
	for n, k := range d.Keys {
		switch {
		case k.Purpose == Signing && k.Derived == namespace:
			return holdfast.Holds, fmt.Sprintf("%s hashes to the namespace %s", k.label(n), short(namespace))
		case k.Unknown != "" && (k.Claimed == namespace || k.Claimed == ""):
			unsure = fmt.Sprintf("%s: %s", k.label(n), k.Unknown)
		}
	}
	if d.hasKMS(Signing) {
		return d.kmsNamespace(namespace)
	}
	if unsure != "" {
		return holdfast.CannotTell, unsure
	}
	return holdfast.Violated, fmt.Sprintf("none of its keys hashes to the namespace %s", short(namespace))
}

// kmsNamespace looks at the root delegation, which carries the public key that
// the KMS is to hold the private one of.
func (d *Dump) kmsNamespace(namespace string) (holdfast.Verdict, string) {
	if d.snapshot == nil {
		return holdfast.CannotTell, "the keys are in a KMS and the snapshot cannot be read"
	}
	for _, del := range d.snapshot.delegations {
		switch {
		case del.namespace != namespace:
		case del.target.fingerprint == namespace:
			return holdfast.Holds, fmt.Sprintf("the root delegation's key hashes to the namespace %s; the KMS holds the private one", short(namespace))
		case !del.target.certain:
			return holdfast.CannotTell, "the root delegation's kind of key is not known here"
		}
	}
	return holdfast.Violated, fmt.Sprintf("no root delegation's key hashes to the namespace %s", short(namespace))
}

func keysMatch(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	var wrong, unsure []string
	pairs := 0
	for n, k := range d.Keys {
		if k.KMSKey != "" {
			continue
		}
		pairs++
		switch {
		case k.Broken != "" || k.Unknown != "":
			unsure = append(unsure, fmt.Sprintf("%s: %s", k.label(n), k.Broken+k.Unknown))
		case k.Claimed == "":
			unsure = append(unsure, fmt.Sprintf("%s does not say its fingerprint", k.label(n)))
		case k.Claimed != k.Derived:
			wrong = append(wrong, fmt.Sprintf("%s says %s and hashes to %s", k.label(n), short(k.Claimed), short(k.Derived)))
		}
	}
	switch {
	case len(wrong) > 0:
		return holdfast.Violated, strings.Join(wrong, "; ")
	case len(unsure) > 0:
		return holdfast.CannotTell, strings.Join(unsure, "; ")
	case pairs == 0:
		return holdfast.CannotTell, "the keys are in a KMS; only the KMS can tell"
	}
	return holdfast.Holds, fmt.Sprintf("%d recomputed", pairs)
}

func importable(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	for n, k := range d.Keys {
		if k.KMSKey != "" && k.Name == "" {
			return holdfast.Violated, fmt.Sprintf("%s is a KMS key without a name, which the import refuses", k.label(n))
		}
	}
	if d.snapshot == nil {
		return holdfast.CannotTell, "the snapshot cannot be read"
	}
	namespace := d.Namespace()
	delegated := slices.ContainsFunc(d.snapshot.delegations, func(del delegation) bool { return del.namespace == namespace })
	if !delegated {
		return holdfast.Violated, "no NamespaceDelegation for the namespace of the id"
	}
	var mine []ownerMapping
	for _, o := range d.snapshot.owners {
		if o.member == d.ID {
			mine = append(mine, o)
		}
	}
	if len(mine) != 1 {
		return holdfast.Violated, fmt.Sprintf("%d OwnerToKeyMappings for %s instead of one", len(mine), d.ID)
	}
	return d.listed(mine[0])
}

// listed asks whether every key that the member uses is in the dump.
func (d *Dump) listed(mapping ownerMapping) (holdfast.Verdict, string) {
	var missing, unsure []string
	for _, key := range mapping.keys {
		found := slices.ContainsFunc(d.Keys, func(k Key) bool {
			return k.Purpose == key.purpose && k.Fingerprint() == key.fingerprint
		})
		switch {
		case found:
		case d.hasKMS(key.purpose):
			unsure = append(unsure, short(key.fingerprint))
		case !key.certain || d.hasUnknown():
			return holdfast.CannotTell, fmt.Sprintf("whether the %s key %s is in it: a kind of key not known here", key.purpose, short(key.fingerprint))
		default:
			missing = append(missing, fmt.Sprintf("the %s key %s", key.purpose, short(key.fingerprint)))
		}
	}
	switch {
	case len(missing) > 0:
		return holdfast.Violated, "the mapping lists " + strings.Join(missing, ", ") + ", which the dump lacks"
	case len(unsure) > 0:
		return holdfast.Holds, fmt.Sprintf("one OwnerToKeyMapping; its keys %s are for the KMS to have", strings.Join(unsure, ", "))
	}
	return holdfast.Holds, fmt.Sprintf("one OwnerToKeyMapping, all its %d keys in the dump", len(mapping.keys))
}

func sameParticipant(d *Dump, p *Participant) (holdfast.Verdict, string) {
	if p.ID == "" {
		return holdfast.CannotTell, "the participant's own id is not at hand"
	}
	id := "PAR::" + strings.TrimPrefix(p.ID, "PAR::")
	switch {
	case id == d.ID:
		return holdfast.Holds, "both are " + d.ID
	case d.Namespace() != "" && strings.HasSuffix(id, "::"+d.Namespace()):
		return holdfast.Violated, fmt.Sprintf("the dump is of %s, the database of %s: one namespace, two identifiers; one is from before a re-onboarding", d.ID, id)
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
		return holdfast.CannotTell, "the keys in the participant's database are not at hand"
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
		return holdfast.CannotTell, "keys of a kind not known here: " + strings.Join(differ, "; ")
	}
	return holdfast.Violated, strings.Join(differ, "; ")
}

// known returns the keys to compare, none if the other side is not known.
func known(keys, other []string) []string {
	if other == nil {
		return nil
	}
	return keys
}

func (d *Dump) hasKMS(purpose string) bool {
	return slices.ContainsFunc(d.Keys, func(k Key) bool { return k.KMSKey != "" && k.Purpose == purpose })
}

// hasUnknown reports whether there are keys whose fingerprint is not known at
// all, so that a key not found may be among them.
func (d *Dump) hasUnknown() bool {
	return slices.ContainsFunc(d.Keys, func(k Key) bool { return k.Unknown != "" && k.Claimed == "" })
}

// label names a key for the operator: by its name, else by its place.
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
