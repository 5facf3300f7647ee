package check

import (
	"fmt"
	"strings"
	"testing"

	"holdfast"
	"holdfast/record"
)

// A copy that rightly lacks sets is distinguished from one that lags.
func TestCheckSaysWhatACopyHas(t *testing.T) {
	sets := []holdfast.Set{{ID: "1"}, {ID: "2"}}
	for want, recorded := range map[string]record.Copied{
		"lacks 1 of 2 sets":              {},
		"has what it keeps, 1 of 2 sets": {Left: record.NodeSets{"": {"1"}}},
	} {
		v := &view{sets: sets}
		if got := v.holdings(Copy{Sets: []CopiedSet{{ID: "2"}}, Recorded: recorded}); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	o := *healthy()
	o.Copies = with(o.Copies, func(c *[]Copy) { (*c)[0].Where = "second" })
	a := secondCopy(newView(o, noon))
	if a.verdict != holdfast.Holds || !strings.Contains(a.evidence, "It lacks 2 of 3 sets") {
		t.Errorf("%+v", a)
	}
}

// Every copy is judged, and the worst is named first.
func TestCheckJudgesEveryCopy(t *testing.T) {
	good := func(c *Copy) {}
	for _, c := range []struct {
		name    string
		copies  []func(*Copy)
		verdict holdfast.Verdict
		says    []string // in this order
	}{
		{"all are current", []func(*Copy){good, good}, holdfast.Holds, []string{"copy 0 has set", "copy 1 has set"}},
		{"the second lags", []func(*Copy){good, func(c *Copy) { c.Sets = nil }}, holdfast.Violated,
			[]string{"copy 1 has no proven set", "copy 0 has set"}},
		{"the second does not open", []func(*Copy){good, func(c *Copy) { c.Problem = "not mounted" }}, holdfast.Violated,
			[]string{"copy 1: not mounted", "copy 0 has set"}},
		{"the second does not answer", []func(*Copy){good, func(c *Copy) { c.Unknown = "silent" }}, holdfast.CannotTell,
			[]string{"copy 1: missing: the second copy: silent", "copy 0 has set"}},
		{"one is silent, and one lags", []func(*Copy){
			func(c *Copy) { c.Unknown = "silent" }, good, func(c *Copy) { c.Sets = nil },
		}, holdfast.Violated, []string{"copy 2 has no", "copy 0: missing", "copy 1 has set"}},
		{"one is here, and one is elsewhere", []func(*Copy){func(c *Copy) { c.SameDisk = true }, good}, holdfast.Holds,
			[]string{"copy 0 has set", "copy 1 has set"}},
		{"one is here, and the other lags", []func(*Copy){
			func(c *Copy) { c.SameFileSystem = true }, func(c *Copy) { c.Sets = nil },
		}, holdfast.Violated, []string{"copy 0 is on the same file system", "copy 1 has no"}},
	} {
		o := *healthy()
		one, _ := o.Copies.Get()
		var copies []Copy
		for i, change := range c.copies {
			next := one[0]
			next.Where = fmt.Sprintf("copy %d", i)
			change(&next)
			copies = append(copies, next)
		}
		o.Copies = holdfast.Known(copies)
		a := secondCopy(newView(o, noon))
		rest := a.evidence
		for _, want := range c.says {
			_, after, ok := strings.Cut(rest, want)
			if !ok {
				t.Errorf("%s: %q is missing, or in another place: %s", c.name, want, a.evidence)
			}
			rest = after
		}
		if a.verdict != c.verdict {
			t.Errorf("%s: %s, %s", c.name, a.verdict, a.evidence)
		}
	}
}
