package holdfast

import (
	"slices"
	"time"
)

// Method is a way to capture.
type Method string

// The methods of capture.
const (
	Dump     Method = "dump"     // the rows of one database, in a consistent snapshot
	Physical Method = "physical" // the files of a whole server, with the log that makes them consistent
	Snapshot Method = "snapshot" // a snapshot that a platform took and keeps
)

// Capture is what was taken at once, and what was learnt meanwhile. It stands
// for one component, or for several whose databases one server has.
type Capture struct {
	Method     Method     `json:"method"`
	Components []Captured `json:"components"`
	Began      Moment     `json:"began"`
	Consistent Moment     `json:"consistent_at"` // the snapshot was taken by then
	Ended      Moment     `json:"ended"`
	Server     Server     `json:"server"`
	WAL        WAL        `json:"wal"`
	Content    Content    `json:"content"`
	Ground     *Ground    `json:"ground,omitempty"` // nil: unknown
	LeftOut    []LeftOut  `json:"left_out,omitempty"`
	Bytes      int64      `json:"bytes_read"` // of all rows, those that were taken over as well
	TakenOver  *TakenOver `json:"taken_over,omitempty"`
	Disproof   *Disproof  `json:"disproof,omitempty"`
	Waits      []Wait     `json:"waits_caused,omitempty"`
	// Doubts are what the method itself cannot tell of what it took. They cost the
	// proof.
	Doubts []string `json:"doubts,omitempty"`
	// Lifted says which snapshot the rows were read from; nil where they were read
	// from the live database. The moments are then those of the snapshot.
	Lifted *Lifted `json:"lifted,omitempty"`
}

// Lifted is where rows come from that were not read from the live database: a
// snapshot that a provider keeps, of which an instance was made for that alone.
type Lifted struct {
	Set      SetID     `json:"set"` // that refers to the snapshot
	Keeper   string    `json:"keeper"`
	Snapshot string    `json:"snapshot"` // as its keeper calls it
	Read     time.Time `json:"read"`     // when its rows were read
}

// Ground is the state of the server that a capture read, in transaction numbers.
type Ground struct {
	Instance string `json:"instance"` // the database and the run of its server
	Horizon  uint64 `json:"horizon"`  // every transaction below it had ended
	Next     uint64 `json:"next"`     // none of the numbers from here on had ended
	// Own is a number that the capture took itself afterwards, and changed nothing
	// with; 0: none.
	Own uint64 `json:"own,omitempty"`
}

// TakenOver says how much of a capture was not read from the database, because an
// earlier set has it and it has not changed since.
type TakenOver struct {
	From   SetID     `json:"from"`
	Bytes  int64     `json:"bytes"`
	Rows   int64     `json:"rows"`
	Oldest time.Time `json:"oldest_reading"` // of all rows, by the wall clock
	// Audited are bytes that would have been taken over, and were read to see whether
	// they are the same.
	Audited int64 `json:"bytes_audited"`
	// Unwritten are bytes of ranges that nobody wrote to since: no transaction wrote
	// anything on the server, or its summaries of the write-ahead log say so. No row was
	// asked about.
	Unwritten int64 `json:"bytes_unwritten,omitempty"`
	// Schema says that the schema is the earlier set's as well.
	Schema bool `json:"schema,omitempty"`
}

// Disproof is a range of a table that was said to be unchanged and is not what an
// earlier reading gave. The capture that found it has read everything again.
type Disproof struct {
	Table  string    `json:"table"`
	From   int64     `json:"from_block"`
	ReadAt time.Time `json:"read_at"` // of the earlier reading; what was taken over from it since is in doubt
	Was    string    `json:"was"`     // rows and digest
	Is     string    `json:"is"`
}

// Earlier is what a capture may take over from, and what it is taken for. The
// zero value has nothing.
type Earlier struct {
	For    SetID // the set that is being taken
	Set    SetID
	Part   Part   // of the component that is captured
	Files  Files  // of that set
	Splice Splice // nil: everything is read
	// Own are numbers of transactions that the captures of that set took for themselves
	// and wrote nothing with.
	Own []uint64
}

// Captured is one component that a capture stands for, and what its database
// says about itself in it.
type Captured struct {
	Component ComponentName `json:"component"`
	Kind      Kind          `json:"kind"`
	Database  Database      `json:"database"`
	Facts     Facts         `json:"facts"`
	// Before is what the live database said before a snapshot was asked for that
	// nobody reads; Facts is then what it said after. Its content lies between.
	// Nil where Facts were read inside the capture.
	Before *Reading `json:"before,omitempty"`
	// Schema is a digest of the database's schema and of the versions of its
	// extensions; "" where the method does not know them.
	Schema string `json:"schema_digest,omitempty"`
	// Rehearsal is the evidence that the schema comes back; nil where none was
	// sought, as in sets of before it was.
	Rehearsal *Rehearsal `json:"rehearsal,omitempty"`
}

// Content is what a capture holds; of which type it is, follows from the method
// (package content). Whoever restores it has to know the type; the others ask.
type Content interface {
	// Files lists the files of the set that it consists of; a snapshot that is
	// kept elsewhere has none.
	Files() []File
	// Counts are how many tables and rows it holds, 0 where nobody has counted.
	Counts() (tables int, rows int64)
	// Elsewhere says who keeps the rest of it, where the set has no more than a
	// reference; "" where the set has everything.
	Elsewhere() string
}

// File is one file of a capture. What has a format holds rows in that format,
// so many and with that digest: reading it again can tell whether they are
// still the same.
type File struct {
	Name   string // within the set
	Table  string // "participant.par_contracts"; "" for what is no table's
	Format string
	Bytes  int64 // where it has a format
	Rows   int64
	Digest string // of the rows, in no order
}

// Files lists the files of the set that the capture consists of.
func (c Capture) Files() []File {
	if c.Content == nil {
		return nil
	}
	return c.Content.Files()
}

// Counts are how many tables and rows the capture holds.
func (c Capture) Counts() (tables int, rows int64) {
	if c.Content == nil {
		return 0, 0
	}
	return c.Content.Counts()
}

// Elsewhere says who keeps what the set only refers to; "" where the set has
// everything.
func (c Capture) Elsewhere() string {
	if c.Content == nil {
		return ""
	}
	return c.Content.Elsewhere()
}

// Part is one component of a set, with the capture that stands for it.
type Part struct {
	Captured
	Capture
	at int // the capture's place in the set
}

// atOnce reports whether two components are as they were at one instant: one
// capture has both, or one snapshot that both were read from.
func (p Part) atOnce(other Part) bool {
	a, b := p.Lifted, other.Lifted
	return p.at == other.at || a != nil && b != nil && a.Keeper == b.Keeper && a.Snapshot == b.Snapshot
}

// OwnTransactions are the numbers of transactions that the captures of the set took for
// themselves, and wrote nothing with.
func (s Set) OwnTransactions() (own []uint64) {
	for _, part := range s.Parts() {
		if part.Ground != nil && part.Ground.Own != 0 {
			own = append(own, part.Ground.Own)
		}
	}
	return own
}

// Parts lists the components of the set in the order of its captures.
func (s Set) Parts() []Part {
	var out []Part
	for i, c := range s.Captures {
		for _, of := range c.Components {
			out = append(out, Part{of, c, i})
		}
	}
	return out
}

// Part returns that component, with the capture that stands for it.
func (s Set) Part(name ComponentName) (Part, bool) {
	for _, p := range s.Parts() {
		if p.Component == name {
			return p, true
		}
	}
	return Part{}, false
}

// LiftedFrom is the set of snapshots that the rows were read from; "" where they
// were read from the live databases.
func (s Set) LiftedFrom() SetID {
	for _, c := range s.Captures {
		if c.Lifted != nil {
			return c.Lifted.Set
		}
	}
	return ""
}

// KeptElsewhere reports whether something of the set is a snapshot that a platform
// keeps: then its rows are not all in the repository. It needs no content.
func (s Set) KeptElsewhere() bool {
	return slices.ContainsFunc(s.Captures, func(c Capture) bool { return c.Method == Snapshot })
}
