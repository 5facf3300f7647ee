package check

import (
	"strings"
	"testing"

	"holdfast"
)

// Identities that are in clear somewhere by the operator's word are named each time.
func TestCheckNamesIdentitiesInClear(t *testing.T) {
	o := *healthy()
	if a := identitiesBackedUp(newView(o, noon)); a.verdict != holdfast.Holds || strings.Contains(a.evidence, "in clear") {
		t.Errorf("sealed everywhere: %+v", a)
	}
	o.Declared.InClear = []string{"awssm://eu-central-1/holdfast", "vault://vault/secret/clear"}
	a := identitiesBackedUp(newView(o, noon))
	if a.verdict != holdfast.Holds || !strings.HasSuffix(a.evidence,
		"; as configured, they are in clear in awssm://eu-central-1/holdfast, vault://vault/secret/clear") {
		t.Errorf("in clear: %+v", a)
	}
}
