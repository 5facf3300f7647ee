package identities

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

func importable(d *Dump, _ *Participant) (holdfast.Verdict, string) {
	for n, k := range d.Keys {
		if k.KMSKey != "" && k.Name == "" {
			return holdfast.Violated, fmt.Sprintf("%s is a KMS key without a name; the import refuses it", k.label(n))
		}
	}
	if d.snapshot == nil {
		return holdfast.CannotTell, "the snapshot is unreadable"
	}
	namespace := d.Namespace()
	// What stands below it is signed by the namespace's own key, or by one that
	// it delegates to: without its root nothing of the snapshot is valid.
	if !slices.ContainsFunc(d.snapshot.delegations, func(del delegation) bool { return del.roots(namespace) }) {
		return holdfast.Violated, "no NamespaceDelegation to the own key of the id's namespace"
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

// listed judges whether every key that the member uses is in the dump.
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
			return holdfast.CannotTell, fmt.Sprintf("the %s key %s may be one of an unknown kind",
				key.purpose, short(key.fingerprint))
		default:
			missing = append(missing, fmt.Sprintf("the %s key %s", key.purpose, short(key.fingerprint)))
		}
	}
	switch {
	case len(missing) > 0:
		return holdfast.Violated, "the mapping lists " + strings.Join(missing, ", ") + ", which the dump lacks"
	case len(unsure) > 0:
		return holdfast.Holds, fmt.Sprintf("one OwnerToKeyMapping; "+
			"its keys %s must be in the KMS", strings.Join(unsure, ", "))
	}
	return holdfast.Holds, fmt.Sprintf("one OwnerToKeyMapping, all its %d keys in the dump", len(mapping.keys))
}
