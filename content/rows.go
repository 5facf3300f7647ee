package content

import (
	"fmt"

	"holdfast"
)

// Rows are the contents of one database, as a dump has them.
type Rows struct {
	Schema    string     `json:"schema_file"`             // pg_dump custom format, no data
	Globals   string     `json:"globals_file"`            // roles without passwords, database settings
	Readings  string     `json:"readings_file,omitempty"` // what the next capture may take over, for that alone
	Tables    []Table    `json:"tables"`
	Sequences []Sequence `json:"sequences,omitempty"`
	Views     []View     `json:"materialized_views,omitempty"`
}

// RowsOf are the rows of a part that was dumped. A part that was captured in
// another way is refused: it cannot be put back as rows.
func RowsOf(p holdfast.Part) (Rows, error) {
	rows, ok := p.Content.(Rows)
	if !ok {
		return Rows{}, &holdfast.Problem{Class: holdfast.Refused,
			What: fmt.Sprintf("%s was captured by method %q, and this needs its rows", p.Component, p.Method),
			Why:  "Only what was captured by method \"dump\" is kept as rows.",
			Do:   "Choose a set whose captures are dumps: `holdfast list`."}
	}
	return rows, nil
}

// Files lists the files without rows, and those of every table.
func (r Rows) Files() []holdfast.File {
	out := []holdfast.File{{Name: r.Schema}, {Name: r.Globals}}
	if r.Readings != "" {
		out = append(out, holdfast.File{Name: r.Readings})
	}
	for _, t := range r.Tables {
		for _, s := range t.Segments {
			out = append(out, holdfast.File{
				Name:   s.File,
				Table:  t.Schema + "." + t.Name,
				Format: t.Format,
				Bytes:  s.Bytes,
				Rows:   s.Rows,
				Digest: s.Digest.String(),
			})
		}
	}
	return out
}

// Elsewhere is nobody: the rows are in the set.
func (Rows) Elsewhere() string { return "" }

// Counts counts the tables and their rows.
func (r Rows) Counts() (tables int, rows int64) {
	for _, t := range r.Tables {
		rows += t.Rows
	}
	return len(r.Tables), rows
}

// The formats of a table's segments.
const (
	BinaryFormat = "binary"
	TextFormat   = "text"
)

// Table is one table's rows as captured. Its digest is the sum of its
// segments' digests, so it does not depend on the order of rows or on where
// the table was cut.
type Table struct {
	Schema    string    `json:"schema"`
	Name      string    `json:"name"`
	Format    string    `json:"format"`
	Columns   []string  `json:"columns"`             // in the order of the stream; generated ones are left out
	Types     []string  `json:"types"`               // of the columns
	Extension string    `json:"extension,omitempty"` // whose configuration it is
	Condition string    `json:"condition,omitempty"` // of an extension's configuration table
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Digest    Digest    `json:"digest"`
	Segments  []Segment `json:"segments"`
}

// Segment is one file of a table: the rows whose tuples lie in the heap blocks
// [From, To), or all of them where To is 0.
type Segment struct {
	File   string `json:"file"`
	From   int64  `json:"from_block"`
	To     int64  `json:"to_block,omitempty"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	Digest Digest `json:"digest"`
}

// Sequence is a sequence's position, read after the snapshot was taken, so
// that it is never behind a row of the capture.
type Sequence struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Last   int64  `json:"last_value"`
	Called bool   `json:"is_called"`
	// Extension is the one whose configuration it is: the extension makes it.
	Extension string `json:"extension,omitempty"`
}

// View is a materialized view that was populated; a restore refreshes them in
// this order.
type View struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}
