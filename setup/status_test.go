package setup

import (
	"runtime"
	"testing"
	"weak"

	"holdfast"
	"holdfast/secrets"
)

// What a service knows of its node does not keep in memory what it was read from:
// that is the whole list of sets, and every index.
func TestAServiceKeepsNoClosedRepository(t *testing.T) {
	s := pageService(t)
	fillSetsAs(t, s.config().Repository.Place, holdfast.NewSecret(pagePassword), 3, holdfast.Proven)
	var parts weak.Pointer[Parts]
	var known weak.Pointer[secrets.Known] // the open repository has it, to hide them
	if err := s.with(t.Context(), func(p *Parts) error {
		parts, known = weak.Make(p), weak.Make(p.Secrets)
		return s.read(t.Context(), p)
	}); err != nil {
		t.Fatal(err)
	}
	if got := s.Status().Stored; got.Newest == nil || got.Proven == nil || len(got.Entries) != 3 {
		t.Fatalf("it knows %+v", got)
	}
	runtime.GC()
	if parts.Value() != nil || known.Value() != nil {
		t.Error("the closed repository is in memory")
	}
	runtime.KeepAlive(s)
}
