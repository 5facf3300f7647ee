package notice

import (
	"slices"

	"holdfast"
)

// State is what is known of a possible cause of trouble.
type State string

// The states. An unknown one neither begins nor ends a trouble.
const (
	Good    State = "good"
	Bad     State = "bad"
	Unknown State = "unknown"
)

// Sight is one possible cause of trouble, as it is now. A cause that is not
// listed any more is forgotten.
type Sight struct {
	Node  holdfast.NodeName
	Cause string // names it while it lasts: "repository", "task/backup", "condition/second_copy"
	State State
	What  string // in one sentence
	Why   string
	Do    string // what to type
	// Kind is how it is bad; another one is a change that is worth a notice.
	Kind string
	// Of are the causes that can be behind this one: it is not mentioned while one
	// of them is bad.
	Of []string
}

// key names a cause of a node.
func (s Sight) key() string { return string(s.Node) + " " + s.Cause }

// roots are the sights in which nothing is bad that another bad one explains.
func roots(list []Sight) []Sight {
	bad := func(of Sight) bool {
		return slices.ContainsFunc(list, func(s Sight) bool {
			return s.State == Bad && s.Node == of.Node && slices.Contains(of.Of, s.Cause)
		})
	}
	out := slices.Clone(list)
	for i, s := range out {
		if s.State == Bad && bad(s) {
			out[i].State = Unknown
		}
	}
	return out
}
