package holdfast_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast"
)

func names(list ...holdfast.ComponentName) []holdfast.ComponentName { return list }

var (
	participant = holdfast.Component{Name: "participant", Kind: holdfast.Participant}
	validator   = holdfast.Component{Name: "validator", Kind: holdfast.Validator}
)

func app(name holdfast.ComponentName) holdfast.Component {
	return holdfast.Component{Name: name, Kind: holdfast.App}
}

func of(kind holdfast.Kind, name holdfast.ComponentName) holdfast.Component {
	return holdfast.Component{Name: name, Kind: kind}
}

func TestNodeShapes(t *testing.T) {
	before := func(c holdfast.Component, others ...holdfast.ComponentName) holdfast.Component {
		c.Before = others
		return c
	}
	after := func(c holdfast.Component, others ...holdfast.ComponentName) holdfast.Component {
		c.After = others
		return c
	}
	for _, c := range []struct {
		name       string
		node       holdfast.NodeName
		components []holdfast.Component
		stages     string // "validator app | participant"
		refused    string // within the error
	}{
		{"a validator node", "n", []holdfast.Component{participant, validator}, "validator | participant", ""},
		{"a participant alone", "n", []holdfast.Component{participant}, "participant", ""},
		{"an app that nobody ordered", "n", []holdfast.Component{participant, validator, app("orders")},
			"validator orders | participant", ""},
		{"an app before the participant", "n",
			[]holdfast.Component{before(app("orders"), "participant"), participant, validator},
			"orders validator | participant", ""},
		{"an app after the validator app", "n",
			[]holdfast.Component{participant, validator, after(app("orders"), "validator")},
			"validator | participant orders", ""},
		{"a chain of apps", "n", []holdfast.Component{app("c"), before(app("a"), "b"), before(app("b"), "c")},
			"a | b | c", ""},
		{"a super validator during an upgrade", "n",
			[]holdfast.Component{of(holdfast.Participant, "p"), of(holdfast.Mediator, "m4"),
				of(holdfast.Mediator, "m5"),
				of(holdfast.Sequencer, "s4"), of(holdfast.Sequencer, "s5"), of(holdfast.Orderer, "o5"),
				of(holdfast.SV, "sv"), of(holdfast.Scan, "scan"), validator},
			"o5 sv scan validator | p m4 m5 s4 s5", ""},
		{"a wish that the configuration contradicts", "n",
			[]holdfast.Component{of(holdfast.Scan, "scan"), before(of(holdfast.Mediator, "m"), "x"),
				before(app("x"), "scan")}, "m | x | scan", ""},
		{"a rule that the configuration contradicts", "n",
			[]holdfast.Component{of(holdfast.Orderer, "o"), before(of(holdfast.Sequencer, "s"), "x"),
				before(app("x"), "o")}, "", "circle"},
		{"the built-in edge said once more", "n", []holdfast.Component{participant, before(validator, "participant")},
			"validator | participant", ""},
		{"the longest names", holdfast.NodeName(strings.Repeat("n", 63)),
			[]holdfast.Component{app(holdfast.ComponentName(strings.Repeat("x", 63)))}, strings.Repeat("x", 63), ""},

		{"no name", "", []holdfast.Component{participant}, "", "name"},
		{"a name that climbs", "../n", []holdfast.Component{participant}, "", "not usable"},
		{"a name too long", holdfast.NodeName(strings.Repeat("n", 64)), []holdfast.Component{participant}, "",
			"not usable"},
		{"no components", "n", nil, "", "nothing to back up"},
		{"a component's name with a slash", "n", []holdfast.Component{app("a/b")}, "", `"a/b" is not usable`},
		{"a component named as the identities' directory", "n", []holdfast.Component{app("identities")}, "",
			"identities"},
		{"a component named as the manifest", "n", []holdfast.Component{app("set.json")}, "", "set.json"},
		{"a component named as the readme", "n", []holdfast.Component{app("README.md")}, "", "README.md"},
		{"the same name twice", "n", []holdfast.Component{app("a"), app("a")}, "", "a is there twice"},
		{"a kind nobody knows", "n", []holdfast.Component{{Name: "a", Kind: "cometbft"}}, "", `"cometbft"`},
		{"two participants", "n", []holdfast.Component{participant, {
			Name: "p2",
			Kind: holdfast.Participant,
		}}, "", "both of kind participant"},
		{"two SV apps", "n", []holdfast.Component{of(holdfast.SV, "a"), of(holdfast.SV, "b")}, "", "both of kind sv"},
		{"two validator apps", "n", []holdfast.Component{validator, {
			Name: "v2",
			Kind: holdfast.Validator,
		}}, "", "both of kind validator"},
		{"before nobody", "n", []holdfast.Component{before(app("a"), "b")}, "", "ordered against b"},
		{"after nobody", "n", []holdfast.Component{after(app("a"), "b")}, "", "ordered against b"},
		{"before itself", "n", []holdfast.Component{before(app("a"), "a")}, "", "a before a"},
		{"the participant before its validator app", "n",
			[]holdfast.Component{before(participant, "validator"), validator}, "", "circle"},
		{"a circle of three with a bystander", "n",
			[]holdfast.Component{app("x"), before(app("a"), "b"), before(app("b"), "c"), before(app("c"), "a")}, "",
			"circle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := holdfast.Node{Name: c.node, Components: c.components}
			err := n.Validate()
			if c.refused != "" {
				if err == nil || !strings.Contains(err.Error(), c.refused) ||
					holdfast.ClassOf(err) != holdfast.Usage {
					t.Errorf("got %v (class %s), want a usage error with %q in it", err, holdfast.ClassOf(err),
						c.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			stages, err := n.Stages()
			if err != nil {
				t.Fatal(err)
			}
			if got := show(stages); got != c.stages {
				t.Errorf("stages are %q, want %q", got, c.stages)
			}
			respectsEdges(t, n, stages)
		})
	}
}

func show(stages [][]holdfast.Component) string {
	var out []string
	for _, stage := range stages {
		var members []string
		for _, c := range stage {
			members = append(members, string(c.Name))
		}
		out = append(out, strings.Join(members, " "))
	}
	return strings.Join(out, " | ")
}

func respectsEdges(t *testing.T, n holdfast.Node, stages [][]holdfast.Component) {
	t.Helper()
	of := func(name holdfast.ComponentName) int {
		return slices.IndexFunc(stages, func(stage []holdfast.Component) bool {
			return slices.ContainsFunc(stage, func(c holdfast.Component) bool { return c.Name == name })
		})
	}
	for _, e := range n.Edges() {
		if of(e.First) >= of(e.Then) {
			t.Errorf("%s is not in an earlier stage than %s", e.First, e.Then)
		}
	}
}

func TestACircleIsNamedMemberByMember(t *testing.T) {
	n := holdfast.Node{Name: "n", Components: []holdfast.Component{
		app("bystander"),
		{Name: "a", Kind: holdfast.App, Before: names("b")},
		{Name: "b", Kind: holdfast.App, Before: names("c")},
		{Name: "c", Kind: holdfast.App, Before: names("a")},
		{Name: "d", Kind: holdfast.App, After: names("a")},
	}}
	err := n.Validate()
	if err == nil {
		t.Fatal("a circle passes")
	}
	text := err.Error()
	_, text, _ = strings.Cut(text, "circle: ")
	members := strings.Split(text, " before ")
	if len(members) != 4 || members[0] != members[3] {
		t.Fatalf("the circle is described as %q", text)
	}
	for i := range 3 {
		first, then := holdfast.ComponentName(members[i]), holdfast.ComponentName(members[i+1])
		if !slices.ContainsFunc(n.Edges(), func(e holdfast.Edge) bool { return e.First == first && e.Then == then }) {
			t.Errorf("%s before %s is no edge of the node", first, then)
		}
	}
}

func TestEdgesSayWhyAndComeOnce(t *testing.T) {
	n := holdfast.Node{Name: "n", Components: []holdfast.Component{
		{Name: "participant", Kind: holdfast.Participant, After: names("validator", "orders")},
		{Name: "validator", Kind: holdfast.Validator, Before: names("participant")},
		{Name: "orders", Kind: holdfast.App, Before: names("participant")},
	}}
	edges := n.Edges()
	if len(edges) != 2 {
		t.Fatalf("edges %v", edges)
	}
	for _, e := range edges {
		if e.Why == "" {
			t.Errorf("%s before %s: nobody says why", e.First, e.Then)
		}
	}
	if !strings.Contains(edges[0].Why, "validator_backups") {
		t.Errorf("the built-in edge gives the reason %q", edges[0].Why)
	}
}

func TestProblemsAreErrorsWithAClassAndAdvice(t *testing.T) {
	cause := errors.New("connection reset")
	inner := &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  "connect to database x",
		Err:   cause,
		Do:    "Check the host.",
	}
	outer := fmt.Errorf("capture participant: %w", &holdfast.Problem{
		What: "dump",
		Why:  "No set was taken.",
		Err:  inner,
	})
	if got := holdfast.ClassOf(outer); got != holdfast.Unreachable {
		t.Errorf("class %s: a problem without a class hides that of its cause", got)
	}
	if !errors.Is(outer, cause) {
		t.Error("the cause is not to be found in the chain")
	}
	why, do := holdfast.Advice(outer)
	if why != "No set was taken." || do != "Check the host." {
		t.Errorf("advice %q, %q", why, do)
	}
	if outer.Error() != "capture participant: dump: connect to database x: connection reset" {
		t.Errorf("text %q", outer)
	}
	if holdfast.ClassOf(nil) != "" {
		t.Error("nil has a class")
	}
}

// Components that are captured as one stand where the edges of all of them allow,
// and what has to come between two of them is refused.
func TestUnits(t *testing.T) {
	node := holdfast.Node{Name: "n", Components: []holdfast.Component{
		{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator},
		{Name: "app", Kind: holdfast.App, Before: []holdfast.ComponentName{"participant"}},
	}}
	names := func(units [][][]holdfast.Component) (out string) {
		for _, stage := range units {
			for _, unit := range stage {
				for _, c := range unit {
					out += string(c.Name) + " "
				}
				out += "/ "
			}
			out += "| "
		}
		return out
	}
	both := [][]holdfast.ComponentName{{"validator", "participant"}}
	for _, c := range []struct {
		together [][]holdfast.ComponentName
		want     string
	}{
		{nil, "validator / app / | participant / | "},
		{both, "app / | participant validator / | "},
		{[][]holdfast.ComponentName{{"validator", "participant", "app"}}, "participant validator app / | "},
	} {
		units, err := node.Units(c.together)
		if err != nil || names(units) != c.want {
			t.Errorf("%v: %q, %v, want %q", c.together, names(units), err, c.want)
		}
	}
	node.Components[2].After = []holdfast.ComponentName{"validator"}
	if units, err := node.Units(both); err == nil {
		t.Errorf("an app that has to come between them: %q", names(units))
	}
}
