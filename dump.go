package holdfast

// Dump is what a file turned out to be that pg_dump, pg_dumpall or pg_restore
// has written, as far as reading it tells: nothing of it was restored.
type Dump struct {
	Name        string           `json:"name"` // as it was given
	Form        DumpForm         `json:"form"`
	Archive     string           `json:"archive_version,omitempty"` // of the forms that pg_restore reads, "1.16"
	Wrapping    []string         `json:"wrapping,omitempty"`        // compressions around the whole, the outermost first
	Compression string           `json:"compression,omitempty"`     // of the data within an archive
	Checksums   bool             `json:"checksums"`                 // a changed byte of the data would have been seen
	Read        int64            `json:"bytes_read"`                // after decompression
	State       DumpState        `json:"state"`
	Faults      []string         `json:"faults,omitempty"` // what is wrong with it, in the order found
	Databases   []DumpedDatabase `json:"databases"`
}

// DumpForm is how a dump is written.
type DumpForm string

// The forms of dumps.
const (
	PlainDump     DumpForm = "plain"     // SQL of pg_dump, or of pg_restore
	ClusterDump   DumpForm = "cluster"   // SQL of pg_dumpall
	CustomDump    DumpForm = "custom"    // pg_dump -Fc
	DirectoryDump DumpForm = "directory" // pg_dump -Fd
	TarDump       DumpForm = "tar"       // pg_dump -Ft
	UnknownDump   DumpForm = "unknown"
)

// DumpState says whether a dump is all there.
type DumpState string

// The states of a dump. What is complete has its end, every table's rows have
// theirs, and every checksum in it is right; it may still lack what its maker
// left out.
const (
	CompleteDump  DumpState = "complete"
	TruncatedDump DumpState = "truncated" // it ends before its end
	DamagedDump   DumpState = "damaged"   // something in it is not what was written
	UnclearDump   DumpState = "cannot tell"
)

// Verdict is the state as an answer to "is it all there?".
func (s DumpState) Verdict() Verdict {
	switch s {
	case CompleteDump:
		return Holds
	case TruncatedDump, DamagedDump:
		return Violated
	}
	return CannotTell
}

// DumpedDatabase is one database within a dump. Only archives, and SQL that
// creates the database, tell its name.
type DumpedDatabase struct {
	Name     string        `json:"name,omitempty"`
	Postgres string        `json:"postgres,omitempty"` // version of the server
	PgDump   string        `json:"pg_dump,omitempty"`
	Created  string        `json:"created,omitempty"` // local time of the machine that made it; nothing vouches for it
	Kind     Kind          `json:"kind,omitempty"`
	Found    string        `json:"found"` // for people
	Facts    Facts         `json:"facts"`
	Unread   []string      `json:"unread,omitempty"` // tables that matter and whose rows are not all there
	Tables   []DumpedTable `json:"tables"`
}

// DumpedTable is one table of a dump.
type DumpedTable struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`
	Data   bool   `json:"data"` // the dump has its rows, be they none; false for a mere definition
}

// Rows counts the rows of all tables.
func (d DumpedDatabase) Rows() (n int64) {
	for _, t := range d.Tables {
		n += t.Rows
	}
	return n
}
