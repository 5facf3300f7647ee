package record

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"holdfast"
)

// Copied is the record of what a second copy was sent last, and of the sets that
// it had then. A copy keeps by its own retention, so an old set may be gone there.
type Copied struct {
	Place  string                               `json:"place"`
	At     time.Time                            `json:"at"`     // when it was brought up to date
	Newest map[holdfast.NodeName]holdfast.SetID `json:"newest"` // of each node's sets that were sent
	// Extended is when the locks there were last extended.
	Extended time.Time `json:"extended,omitzero"`
	// Seen is when the copy last said which sets it has; zero in a record of an
	// earlier version.
	Seen time.Time `json:"seen,omitzero"`
	Sets NodeSets  `json:"sets,omitempty"` // that it had then
	// Left are sets of the repository that the copy had not, because its rules do
	// not keep them, or because they were dropped there.
	Left NodeSets `json:"left,omitempty"`
}

// NodeSets are sets of several nodes.
type NodeSets map[holdfast.NodeName][]holdfast.SetID

// Add adds a set, unless it is there.
func (s NodeSets) Add(node holdfast.NodeName, set holdfast.SetID) {
	if !s.Has(node, set) {
		s[node] = append(s[node], set)
	}
}

// Has reports whether a set is among them.
func (s NodeSets) Has(node holdfast.NodeName, set holdfast.SetID) bool {
	return slices.Contains(s[node], set)
}

// Sent reports whether a set was sent. An ID begins with the time at which its set
// was begun, and a node takes one set at a time.
func (c Copied) Sent(node holdfast.NodeName, set holdfast.SetID) bool { return set <= c.Newest[node] }

// Without is the record after the copy has dropped sets of a node.
func (c Copied) Without(node holdfast.NodeName, dropped []holdfast.SetID, now time.Time) Copied {
	gone := func(id holdfast.SetID) bool { return slices.Contains(dropped, id) }
	sets, left := maps.Clone(c.Sets), maps.Clone(c.Left)
	if left == nil {
		left = NodeSets{}
	}
	left[node] = append(slices.DeleteFunc(slices.Clone(left[node]), gone), dropped...)
	if sets != nil {
		sets[node] = slices.DeleteFunc(slices.Clone(sets[node]), gone)
	}
	c.Sets, c.Left, c.Seen = sets, left, now
	return c
}

// CopyState is how a set stands in a copy.
type CopyState string

// The states of a set in a copy.
const (
	InCopy   CopyState = "has"      // the copy had it when it was last seen
	NotKept  CopyState = "not_kept" // its rules do not keep it, or it was dropped there
	NotThere CopyState = "lacks"    // it was not sent yet
	WasSent  CopyState = "sent"     // once; an earlier version did not record whether it is still there
)

// SetInCopy is how a set stands in a second copy, as that was last seen.
type SetInCopy struct {
	Place string    `json:"place"`
	State CopyState `json:"state"`
	Seen  time.Time `json:"seen,omitzero"` // zero: never
}

// Of is how a set stands in the copy.
func (c Copied) Of(node holdfast.NodeName, set holdfast.SetID) SetInCopy {
	out := SetInCopy{c.Place, NotThere, c.Seen}
	switch {
	case c.Seen.IsZero() && c.Sent(node, set):
		out.State = WasSent
	case c.Sets.Has(node, set):
		out.State = InCopy
	case c.Left.Has(node, set):
		out.State = NotKept
	}
	return out
}

func (s SetInCopy) String() string {
	switch at := s.Place + ", as last seen " + when(s.Seen); s.State {
	case InCopy:
		return "in " + at
	case NotKept:
		return "not kept by the rules of " + at
	case WasSent:
		return "sent to " + s.Place + "; whether it is still there is seen at the next `holdfast repository copy`"
	default:
		if s.Seen.IsZero() {
			at = s.Place + ", where nothing was sent yet"
		}
		return "not in " + at + ". To send it: `holdfast repository copy`"
	}
}

// CopyTally counts how sets stand in a copy.
type CopyTally struct {
	Place string
	Seen  time.Time
	Sets  int // that were counted
	In    map[CopyState]int
}

// TallyCopies counts the sets by each copy that they name.
func TallyCopies(sets []Set) (list []CopyTally) {
	for _, set := range sets {
		for _, in := range set.InCopies {
			i := slices.IndexFunc(list, func(t CopyTally) bool { return t.Place == in.Place })
			if i < 0 {
				i = len(list)
				list = append(list, CopyTally{Place: in.Place, Seen: in.Seen, In: map[CopyState]int{}})
			}
			list[i].Sets++
			list[i].In[in.State]++
		}
	}
	return list
}

func (t CopyTally) String() string {
	const send = ". To send: `holdfast repository copy`"
	seen := ", as last seen " + when(t.Seen)
	switch {
	case t.In[WasSent] > 0:
		return fmt.Sprintf("%s was sent %s; what it still has is seen at the next `holdfast repository copy`",
			t.Place, some(t.In[WasSent], t.Sets))
	case t.Seen.IsZero():
		return t.Place + ": nothing was sent there yet" + send
	}
	return t.Place + " " + Holdings(t.In[InCopy], t.In[NotKept], t.Sets) + seen +
		map[bool]string{true: send}[t.In[NotThere] > 0]
}

// Holdings says what a copy has of so many sets.
func Holdings(has, notKept, sets int) string {
	switch lacks := sets - has - notKept; {
	case lacks > 0 && notKept > 0:
		return fmt.Sprintf("lacks %s, and does not keep %d", some(lacks, sets), notKept)
	case lacks > 0:
		return "lacks " + some(lacks, sets)
	case notKept > 0:
		return "has what it keeps, " + some(has, sets)
	default:
		return "has " + some(has, sets)
	}
}

func some(n, of int) string {
	noun := map[bool]string{true: "set", false: "sets"}[of == 1]
	if n == of && of > 1 {
		return fmt.Sprintf("all %d sets", of)
	}
	return fmt.Sprintf("%d of %d %s", n, of, noun)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
