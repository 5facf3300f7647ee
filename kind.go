package holdfast

// Kind says what a component holds, and so which rules of order and which
// facts belong to it.
type Kind string

// The kinds of components.
const (
	Validator   Kind = "validator"   // the Splice validator app's database
	SV          Kind = "sv"          // the database of a super validator's SV app
	Scan        Kind = "scan"        // the database of a super validator's Scan
	Participant Kind = "participant" // the Canton participant's database
	Sequencer   Kind = "sequencer"   // the database of a Canton sequencer
	Mediator    Kind = "mediator"    // the database of a Canton mediator
	Orderer     Kind = "orderer"     // what orders blocks for a sequencer, in a database of its own
	App         Kind = "app"         // a database of the operator's own
)

// kindRow is what is known of a kind before any component of it is seen. What
// its database says about itself is read by package canton.
type kindRow struct {
	kind    Kind
	title   string
	several bool // a node may have several, one for each synchronizer it serves
}

// kinds is the table of kinds. Another kind is another row, the rules of order
// that name it, and what package canton knows it by.
var kinds = []kindRow{
	{kind: Validator, title: "validator app"},
	{kind: SV, title: "SV app"},
	{kind: Scan, title: "scan app"},
	{kind: Participant, title: "participant"},
	{kind: Sequencer, title: "sequencer", several: true},
	{kind: Mediator, title: "mediator", several: true},
	{kind: Orderer, title: "block orderer", several: true},
	{kind: App, title: "app of the operator", several: true},
}

// Kinds lists every kind that a configuration may name.
func Kinds() []Kind {
	out := make([]Kind, len(kinds))
	for i, row := range kinds {
		out[i] = row.kind
	}
	return out
}

// Title is what a component of that kind is called, "validator app".
func (k Kind) Title() string { return k.row().title }

func (k Kind) row() kindRow {
	for _, row := range kinds {
		if row.kind == k {
			return row
		}
	}
	return kindRow{kind: k, title: string(k)}
}
