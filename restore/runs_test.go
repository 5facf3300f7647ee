package restore

import (
	"strings"
	"testing"

	"holdfast"
)

// The plan says what of a database can leave it once it is restored.
func TestThePlanSaysWhatARestoreRuns(t *testing.T) {
	plain := &holdfast.Needs{Extensions: []holdfast.Extension{{Name: "pgcrypto"}}}
	for _, needs := range []*holdfast.Needs{nil, {}, plain} {
		if said := runs("app", needs); len(said) > 0 {
			t.Errorf("%+v: %q", needs, said)
		}
	}
	said := runs("app", &holdfast.Needs{
		Extensions: []holdfast.Extension{{Name: "dblink"}, {Name: "pgcrypto"}, {Name: "oracle_fdw"}},
		Privileged: []holdfast.Object{{Name: "function public.f()", Why: "its language plpython3u may do what the server may"}},
	})
	for _, want := range []string{"extension dblink", "extension oracle_fdw", "function public.f()", "`holdfast drill`"} {
		if len(said) != 1 || !strings.Contains(said[0], want) {
			t.Errorf("%q does not say %s", said, want)
		}
	}
	if strings.Contains(said[0], "pgcrypto") {
		t.Errorf("%q", said)
	}
}
