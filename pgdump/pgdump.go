// Package pgdump describes a file of pg_dump, pg_dumpall or pg_restore: its
// form, its state, the databases and tables in it. The package dumpfile reads
// such files, the package inspect reports on them.
package pgdump

import "holdfast"

// File describes a file that pg_dump, pg_dumpall or pg_restore wrote, as far as
// reading shows: nothing of it was restored.
type File struct {
	Name        string     `json:"name"` // as it was given
	Form        Form       `json:"form"`
	Archive     string     `json:"archive_version,omitempty"` // of the forms that pg_restore reads, "1.16"
	Wrapping    []string   `json:"wrapping,omitempty"`        // compressions around the whole file, the outermost first
	Compression string     `json:"compression,omitempty"`     // of the data within an archive
	Checksums   bool       `json:"checksums"`                 // a changed byte of the data is detected
	Read        int64      `json:"bytes_read"`                // after decompression
	State       State      `json:"state"`
	Faults      []string   `json:"faults,omitempty"` // what is wrong with it, in the order found
	Databases   []Database `json:"databases"`
}

// Form is how a dump is written.
type Form string

// The forms of dumps.
const (
	Plain     Form = "plain"     // SQL of pg_dump, or of pg_restore
	Cluster   Form = "cluster"   // SQL of pg_dumpall
	Custom    Form = "custom"    // pg_dump -Fc
	Directory Form = "directory" // pg_dump -Fd
	Tar       Form = "tar"       // pg_dump -Ft
	Unknown   Form = "unknown"
)

// State says whether a dump is complete.
type State string

// The states of a dump. A complete dump has its end, every table has all its
// rows, and every checksum is right. It may still lack tables that its maker
// excluded.
const (
	Complete  State = "complete"
	Truncated State = "truncated" // it ends too early
	Damaged   State = "damaged"   // its content is not what was written
	Unclear   State = "cannot tell"
)

// Verdict is the state as an answer to "is the dump complete?".
func (s State) Verdict() holdfast.Verdict {
	switch s {
	case Complete:
		return holdfast.Holds
	case Truncated, Damaged:
		return holdfast.Violated
	}
	return holdfast.CannotTell
}

// Database is one database within a dump. Only archives, and SQL that creates
// the database, contain its name.
type Database struct {
	Name     string         `json:"name,omitempty"`
	Postgres string         `json:"postgres,omitempty"` // version of the server
	PgDump   string         `json:"pg_dump,omitempty"`
	Created  string         `json:"created,omitempty"` // local time of the machine that made it, not verified
	Kind     holdfast.Kind  `json:"kind,omitempty"`
	Found    string         `json:"found"` // for people
	Facts    holdfast.Facts `json:"facts"`
	Unread   []string       `json:"unread,omitempty"` // needed tables without all their rows
	Tables   []Table        `json:"tables"`
}

// Table is one table of a dump.
type Table struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Data   bool   `json:"data"` // the dump has its rows, even if there are none; false for a definition only
}

// Rows counts the rows of all tables.
func (d Database) Rows() (n int64) {
	for _, t := range d.Tables {
		n += t.Rows
	}
	return n
}
