package web_test

import (
	"regexp"
	"slices"
	"testing"

	"holdfast"
	"holdfast/check"
	"holdfast/web"
	"holdfast/web/storybook"
)

// Of several nodes the worst comes first: one that cannot come back, one of which
// that is unknown, one that can. Of two alike it is that with more wrong.
func TestTheWorstNodeIsFirst(t *testing.T) {
	stories := storybook.Stories()
	site := stories[slices.IndexFunc(stories, func(s storybook.Story) bool { return s.Name == "several" })].Site
	for _, n := range site.Nodes {
		if n.Name == "validator-zrh-1" { // once more, with one thing wrong of many, and a name before all others
			lesser := n
			lesser.Name = "a-first-by-name"
			lesser.Reports = func() web.Reports { return withOneWrong(n.Reports()) }
			site.Nodes = append(site.Nodes, lesser)
			break
		}
	}
	want := []holdfast.NodeName{
		"validator-zrh-1", "a-first-by-name", "sv-app-provider-long-name-in-frankfurt-3", "validator-new", "validator-zrh-2",
	}
	link := regexp.MustCompile(`href="/nodes/([^"/]+)/"`)
	for range 2 {
		var got []holdfast.NodeName
		for _, found := range link.FindAllStringSubmatch(get(handlerOf(t, site), "/").Body.String(), -1) {
			got = append(got, holdfast.NodeName(found[1]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("the nodes are in the order %v, want %v", got, want)
		}
		slices.Reverse(site.Nodes) // the order of the configuration is no matter
	}
}

// withOneWrong is what is reported of a node with nothing wrong but that it cannot
// come back.
func withOneWrong(r web.Reports) web.Reports {
	lesser := *r.Check
	lesser.Conditions = slices.DeleteFunc(slices.Clone(lesser.Conditions), func(c check.Condition) bool {
		return c.Code != check.RecoveryRoute
	})
	r.Check = &lesser
	return r
}
