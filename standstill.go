package holdfast

// Standstill is what a restore does with a node's programs: they stop before
// its databases are exchanged and start again after.
type Standstill struct {
	Programs []Program `json:"programs"`
	Original Original  `json:"original"`
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
	StopIt    Act = "stop"
	ReplaceIt Act = "replace" // by one made as the set recorded it
	CreateIt  Act = "create"  // as the set recorded it
	StartIt   Act = "start"
)

// Program is one of the node's programs.
type Program struct {
	Role  string `json:"role"`
	Name  string `json:"name"`  // of its container
	State string `json:"state"` // as it is now: "running", "exited", "missing"
	Acts  []Act  `json:"acts"`
	Why   string `json:"why,omitempty"`
}

// Original is the verdict on whether the node that a set was taken of is sure
// not to run while the restored one does. Two copies of one node on a network
// damage it in ways that cannot be undone, often without a symptom.
type Original struct {
	Verdict   Verdict  `json:"verdict"` // Holds: it is stopped, or the restore stops it
	Evidence  []string `json:"evidence"`
	Statement string   `json:"statement,omitempty"` // who said that it is stopped, and when
}
