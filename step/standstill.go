// Package step says what a restore does with a node's programs: they stop
// before its databases are exchanged and start again after.
package step

import "holdfast"

// Standstill is what a restore does with a node's programs: they stop before
// its databases are exchanged and start again after.
type Standstill struct {
	Programs []Program `json:"programs"`
	// Parts are what the programs need beside themselves and that is not there,
	// or not fit.
	Parts    []Part   `json:"parts,omitempty"`
	Original Original `json:"original"`
	// Server says why the databases cannot be looked at before the node is
	// halted, as when their server does not run; "" when they can.
	Server string `json:"server,omitempty"`
	// BrokenOff says of an earlier restore that it did not come to its end.
	BrokenOff string `json:"broken_off,omitempty"`
}

// Act is one thing that is done with a program.
type Act string

// The acts, in the order in which a program may meet them.
const (
	Stop    Act = "stop"
	Replace Act = "replace" // by one made as the set recorded it
	Create  Act = "create"  // as the set recorded it
	Start   Act = "start"
)

// Program is one of the node's programs.
type Program struct {
	Role  string `json:"role"`
	Name  string `json:"name"`  // of its container
	State string `json:"state"` // as it is now: "running", "exited", "missing"
	Acts  []Act  `json:"acts"`
	Why   string `json:"why,omitempty"`
}

// Part is something that a node's programs stand on: a volume, a network, an
// image, a file of the bundle.
type Part struct {
	Kind PartKind `json:"kind"`
	Name string   `json:"name"` // for a file its path on the daemon's machine
	Act  PartAct  `json:"act"`
	As   string   `json:"as,omitempty"` // what something is called that makes room, or that is put beside it
	Why  string   `json:"why,omitempty"`
}

// PartKind says what a part is.
type PartKind string

// The kinds of parts.
const (
	VolumePart  PartKind = "volume" // or a directory in the place of one
	NetworkPart PartKind = "network"
	ImagePart   PartKind = "image"
	FilePart    PartKind = "file"
)

// PartAct is what is done about a part.
type PartAct string

// The acts.
const (
	MakePart   PartAct = "create"
	FetchPart  PartAct = "fetch"        // an image, from its registry
	WritePart  PartAct = "write"        // a file that is missing, as the set kept it
	BesidePart PartAct = "write beside" // a file that differs stays; the set's is called As
	AsidePart  PartAct = "keep aside"   // all that a volume holds, as As; an empty one takes its name
)

// Aside is the volume that makes room for an empty one of its name; nil where
// none does.
func (s Standstill) Aside() *Part {
	for i := range s.Parts {
		if s.Parts[i].Act == AsidePart {
			return &s.Parts[i]
		}
	}
	return nil
}

// Original is the verdict on whether the node that a set was taken of is sure
// not to run while the restored one does. Two copies of one node on a network
// damage it in ways that cannot be undone, often without a symptom.
type Original struct {
	Verdict   holdfast.Verdict `json:"verdict"` // holdfast.Holds: it is stopped, or the restore stops it
	Evidence  []string         `json:"evidence"`
	Statement string           `json:"statement,omitempty"` // who said that it is stopped, and when
}
