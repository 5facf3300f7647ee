package identities

import (
	"fmt"
	"strings"

	"holdfast"
)

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

// kmsNamespace judges by the root delegation: it contains the public key, and the
// KMS must hold the private one.
func (d *Dump) kmsNamespace(namespace string) (holdfast.Verdict, string) {
	if d.snapshot == nil {
		return holdfast.CannotTell, "the keys are in a KMS and the snapshot is unreadable"
	}
	for _, del := range d.snapshot.delegations {
		switch {
		case del.namespace != namespace:
		case del.target.fingerprint == namespace:
			return holdfast.Holds, fmt.Sprintf("the root delegation's key hashes to the namespace %s; "+
				"the KMS must hold the private one", short(namespace))
		case !del.target.certain:
			return holdfast.CannotTell, "the root delegation's key is of an unknown kind"
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
			unsure = append(unsure, fmt.Sprintf("%s has no fingerprint", k.label(n)))
		case k.Claimed != k.Derived:
			wrong = append(wrong, fmt.Sprintf("%s claims %s but hashes to %s", k.label(n), short(k.Claimed), short(k.Derived)))
		}
	}
	switch {
	case len(wrong) > 0:
		return holdfast.Violated, strings.Join(wrong, "; ")
	case len(unsure) > 0:
		return holdfast.CannotTell, strings.Join(unsure, "; ")
	case pairs == 0:
		return holdfast.CannotTell, "the keys are in a KMS, which alone can check them"
	}
	return holdfast.Holds, fmt.Sprintf("%d recomputed", pairs)
}
