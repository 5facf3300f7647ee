package holdfast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// NodeName names a node in its repository: letters, digits, dash, dot and
// underscore, at most 63.
type NodeName string

// ComponentName names one component of a node; the same rule as NodeName. It
// is also the name of the component's directory in a set.
type ComponentName string

var nameRule = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// reserved are the names a set uses for itself besides the components'
// directories.
var reserved = []string{"identities", DeploymentDirectory, ManifestName, ReadmeName}

// Component is one thing with state to capture.
type Component struct {
	Name   ComponentName   `json:"name"`
	Kind   Kind            `json:"kind"`
	Before []ComponentName `json:"before,omitempty"` // its capture ends before theirs begin
	After  []ComponentName `json:"after,omitempty"`  // its capture begins after theirs have ended
}

// Node is what is backed up as one: its components and their order.
type Node struct {
	Name       NodeName    `json:"name"`
	Components []Component `json:"components"`
}

// Edge orders two components: the capture of First ends before the capture of
// Then begins.
type Edge struct {
	First ComponentName `json:"first"`
	Then  ComponentName `json:"then"`
	Why   string        `json:"why"`
	Soft  bool          `json:"soft,omitempty"` // wished for: what speaks against it is reported, and costs no proof
}

// Validate reports the first mistake in the node's shape: names, kinds, edges
// to nobody, two components of one kind that may only exist once, a cycle.
func (n Node) Validate() error {
	if !nameRule.MatchString(string(n.Name)) {
		return shape("the node's name %q is not usable: letters, digits, dot, dash and underscore, at most 63",
			n.Name)
	}
	if len(n.Components) == 0 {
		return shape("node %s has no components: nothing to back up", n.Name)
	}
	seen := map[ComponentName]Kind{}
	for _, c := range n.Components {
		if !nameRule.MatchString(string(c.Name)) || slices.Contains(reserved, string(c.Name)) {
			return shape("component name %q is not usable: letters, digits, dot, dash and underscore, at most "+
				"63, and not %s",
				c.Name, strings.Join(reserved, ", "))
		}
		if _, twice := seen[c.Name]; twice {
			return shape("component %s is there twice", c.Name)
		}
		if !slices.Contains(Kinds(), c.Kind) {
			return shape("component %s has kind %q, which Holdfast does not know; known are %v", c.Name, c.Kind,
				Kinds())
		}
		for other, kind := range seen {
			if kind == c.Kind && !kind.row().several {
				return shape("components %s and %s are both of kind %s: a node has one", other, c.Name, kind)
			}
		}
		seen[c.Name] = c.Kind
	}
	for _, c := range n.Components {
		for _, other := range slices.Concat(c.Before, c.After) {
			if _, known := seen[other]; !known {
				return shape("component %s is ordered against %s, which is not a component of this node (it has %s)",
					c.Name, other, join(n.names()))
			}
		}
	}
	_, err := n.Stages()
	return err
}

// Edges returns the edges of the rules that apply to this node and the
// configured ones, without duplicates, in the order of the components. A wish
// that contradicts the others is left out.
func (n Node) Edges() []Edge {
	var edges []Edge
	add := func(e Edge) {
		if !slices.ContainsFunc(edges, func(o Edge) bool { return o.First == e.First && o.Then == e.Then }) {
			edges = append(edges, e)
		}
	}
	wishes := n.ruled(add)
	for _, c := range n.Components {
		for _, other := range c.Before {
			add(Edge{First: c.Name, Then: other, Why: "before: in the configuration"})
		}
		for _, other := range c.After {
			add(Edge{First: other, Then: c.Name, Why: "after: in the configuration"})
		}
	}
	for _, e := range wishes {
		if _, err := stages(n.Components, append(slices.Clone(edges), e)); err == nil {
			add(e)
		}
	}
	return edges
}

// ruled gives add the edges of the rules that bind, and returns the wishes.
func (n Node) ruled(add func(Edge)) (wishes []Edge) {
	for _, first := range n.Components {
		for _, then := range n.Components {
			r, ok := ruleOf(first.Kind, then.Kind)
			switch {
			case !ok:
			case r.soft:
				wishes = append(wishes, r.edge(first, then))
			default:
				add(r.edge(first, then))
			}
		}
	}
	return wishes
}

// Stages turns the edges into steps: every component stands in the earliest
// stage that all its edges allow. A cycle is an error that names its members.
func (n Node) Stages() ([][]Component, error) { return stages(n.Components, n.Edges()) }

func stages(components []Component, edges []Edge) ([][]Component, error) {
	left := slices.Clone(components)
	var out [][]Component
	for len(left) > 0 {
		var stage, rest []Component
		for _, c := range left {
			waits := slices.ContainsFunc(edges, func(e Edge) bool {
				return e.Then == c.Name && slices.ContainsFunc(left, func(o Component) bool {
					return o.Name == e.First
				})
			})
			if waits {
				rest = append(rest, c)
			} else {
				stage = append(stage, c)
			}
		}
		if len(stage) == 0 {
			return nil, shape("the order of components goes in a circle: %s", cycle(left, edges))
		}
		out, left = append(out, stage), rest
	}
	return out, nil
}

// Component returns the component of that name.
func (n Node) Component(name ComponentName) (Component, bool) {
	for _, c := range n.Components {
		if c.Name == name {
			return c, true
		}
	}
	return Component{}, false
}

// HasParticipant reports whether the node's participant is among its components:
// whose keys the identities hold.
func (n Node) HasParticipant() bool {
	return slices.ContainsFunc(n.Components, func(c Component) bool { return c.Kind == Participant })
}

func (n Node) names() []ComponentName {
	var names []ComponentName
	for _, c := range n.Components {
		names = append(names, c.Name)
	}
	return names
}

// cycle walks backwards along the edges among left until a name repeats; every
// member of left waits for another one, so the walk cannot end otherwise.
func cycle(left []Component, edges []Edge) string {
	var path []ComponentName
	at := left[0].Name
	for !slices.Contains(path, at) {
		path = append(path, at)
		for _, e := range edges {
			if e.Then == at && slices.ContainsFunc(left, func(o Component) bool { return o.Name == e.First }) {
				at = e.First
				break
			}
		}
	}
	path = append(path[slices.Index(path, at):], at)
	slices.Reverse(path)
	return strings.Join(strs(path), " before ")
}

func join(names []ComponentName) string { return strings.Join(strs(names), ", ") }

func strs(names []ComponentName) []string {
	var out []string
	for _, n := range names {
		out = append(out, string(n))
	}
	return out
}

func shape(format string, args ...any) error {
	return &Problem{
		Class: Usage,
		What:  fmt.Sprintf(format, args...),
		Why:   "Nothing was started: the order of captures is what makes a set usable.",
		Do:    "Correct the databases in holdfast.yaml and try again.",
	}
}

func wishable(components []Component, edges []Edge) bool {
	_, err := stages(components, edges)
	return err == nil
}

// Units are the stages of a node of whose components some are captured as one,
// those of a list in together. A unit has all that an edge of any of its
// components asks for. What cannot be in order that way is an error: one that has
// to come between two of a unit.
func (n Node) Units(together [][]ComponentName) ([][][]Component, error) {
	leader := func(name ComponentName) ComponentName {
		for _, list := range together {
			if slices.Contains(list, name) {
				return list[0]
			}
		}
		return name
	}
	var leaders []Component
	members := map[ComponentName][]Component{}
	for _, c := range n.Components {
		first := leader(c.Name)
		if c.Name == first {
			leaders = append(leaders, c)
		}
		members[first] = append(members[first], c)
	}
	var edges, wishes []Edge
	for _, e := range n.Edges() {
		switch of := (Edge{First: leader(e.First), Then: leader(e.Then), Why: e.Why}); {
		case of.First == of.Then:
		case e.Soft:
			wishes = append(wishes, of)
		default:
			edges = append(edges, of)
		}
	}
	for _, e := range wishes {
		if more := append(slices.Clone(edges), e); wishable(leaders, more) {
			edges = more
		}
	}
	plan, err := stages(leaders, edges)
	if err != nil {
		return nil, err
	}
	out := make([][][]Component, len(plan))
	for i, stage := range plan {
		for _, c := range stage {
			out[i] = append(out[i], members[c.Name])
		}
	}
	return out, nil
}
