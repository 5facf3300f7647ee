package check

import (
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
	o.Copy = with(o.Copy, func(c *Copy) { c.Where = "second" })
	a := secondCopy(newView(o, noon))
	if a.verdict != holdfast.Holds || !strings.Contains(a.evidence, "It lacks 2 of 3 sets") {
		t.Errorf("%+v", a)
	}
}
