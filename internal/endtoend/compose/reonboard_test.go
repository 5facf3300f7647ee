package compose_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
)

// The way back when no set can be used: the identities, a name that was never
// used, and the very line that Holdfast prints.
func TestANodeIsReonboardedFromItsIdentities(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{Migration: "4"})
	s.work(t)
	s.setUp(t)
	identity := must(s.Identity(ctx))(t)
	name, namespace, _ := strings.Cut(identity, "::")

	if r := s.try(t, "reonboard", "--key-file", "key", "--identifier", name); r.exit != 7 {
		t.Errorf("the old identifier is taken again: exit code %d\n%s%s", r.exit, r.out, r.err)
	}
	var doc struct {
		Value struct {
			Dump       string `json:"dump_in_clear"`
			Identifier string `json:"participant_identifier"`
			First      string `json:"first_start"`
		}
	}
	r := s.holdfast(t, 0, "reonboard", "--key-file", "key", "--output", "json")
	check(t, json.Unmarshal([]byte(r.out), &doc))
	plan := doc.Value
	if info, err := os.Stat(plan.Dump); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the dump in clear may be read by others, or is not there: %v, %v", info, err)
	}
	check(t, os.Chmod(s.dir, 0o755)) // the test's directory, through which Docker has to come

	check(t, s.Wreck(ctx, bundle.VolumeGone))
	cmd := exec.Command("sh", "-c", plan.First)
	cmd.Dir, cmd.Env = s.Dir, s.Environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", plan.First, err, out)
	}
	if now := must(s.Identity(ctx))(t); now != plan.Identifier+"::"+namespace {
		t.Errorf("the participant has become %s, want %s::%s", now, plan.Identifier, namespace)
	}
	s.holdfast(t, 0, "reonboard", "clean")
	if _, err := os.Stat(plan.Dump); !os.IsNotExist(err) {
		t.Errorf("the dump in clear is still there: %v", err)
	}
	if r := s.try(t, "reonboard", "--key-file", "key", "--identifier", plan.Identifier); r.exit != 7 {
		t.Errorf("the identifier is given twice: exit code %d\n%s%s", r.exit, r.out, r.err)
	}
}
