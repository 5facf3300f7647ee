package dumpfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"holdfast/pgdump"
)

// What archives name by numbers (pg_backup_archiver.h, compression.h).
const (
	formatCustom    = 1
	formatTar       = 3
	formatDirectory = 5

	positionNone   = 3 // an entry without data
	mostEntries    = 2_000_000
	mostDefinition = 1 << 20
)

// The versions of archives that are known: Postgres 9.0 to 18. One byte of
// each: major, minor, revision.
const (
	oldestArchive = 1<<16 | 12<<8
	newestArchive = 1<<16 | 16<<8
)

var archiveCompressions = []string{"none", "gzip", "lz4", "zstd"}

// archive is the beginning of an archive, with its table of contents.
type archive struct {
	in          *input
	version     int // major, minor and revision, a byte each
	intSize     int
	offSize     int
	format      byte
	compression string
	entries     map[int64]*entry // those with data, by their number
	order       []*entry
	count       int // of all entries, with data or without

	decompressor decompressor
}

// entry is one entry of the table of contents that has data.
type entry struct {
	id       int64
	what     string // "TABLE DATA", "BLOBS"
	tag      string
	file     string
	table    *table
	columns  int
	copied   bool // its data are the rows of a COPY; otherwise INSERTs
	expected bool
	found    bool
}

func (e *entry) String() string {
	if e.table != nil {
		return fmt.Sprintf("table %s.%s", e.table.Schema, e.table.Name)
	}
	return e.what
}

var (
	errArchive = errors.New("its numbers are invalid")
	errTooMuch = errors.New("it has more than is read") // the fault says so
)

// byte reads a byte.
func (a *archive) byte() (byte, error) {
	c, ok := a.in.next()
	if !ok {
		return 0, a.cut()
	}
	return c, nil
}

// cut is the error of a stream that ended too early.
func (a *archive) cut() error {
	if a.in.err != nil && !errors.Is(a.in.err, io.EOF) {
		return a.in.err
	}
	return io.ErrUnexpectedEOF
}

// int reads a number: a sign, then bytes, the lowest first.
func (a *archive) int() (int64, error) {
	sign, err := a.byte()
	if err != nil {
		return 0, err
	}
	var n int64
	for i := range a.intSize {
		c, err := a.byte()
		if err != nil {
			return 0, err
		}
		if i < 7 {
			n |= int64(c) << (8 * i)
		} else if c != 0 {
			return 0, errArchive
		}
	}
	if sign != 0 {
		if sign != 1 {
			return 0, errArchive
		}
		n = -n
	}
	return n, nil
}

// string reads a text and returns at most most bytes of it, nothing for an
// absent one.
func (a *archive) string(most int) (string, error) {
	n, err := a.int()
	if err != nil || n <= 0 {
		return "", err
	}
	var out []byte
	for n > 0 {
		w := a.in.window()
		if len(w) == 0 {
			return "", a.cut()
		}
		w = w[:min(int64(len(w)), n)]
		out = append(out, w[:min(len(w), most-len(out))]...)
		a.in.pass(len(w))
		n -= int64(len(w))
	}
	return string(out), nil
}

// archive reads an archive's header and its table of contents.
func (r *reading) archive(in *input, d *database) (*archive, error) {
	a := &archive{in: in, entries: map[int64]*entry{}, compression: "gzip"}
	returned := carriageReturns(in.window())
	err := a.header(r, d)
	if err == nil {
		err = a.contents(r, d)
	}
	if err != nil && returned {
		err = errTerminal
	}
	return a, err
}

// errTerminal is an archive whose every LF has become CR LF.
var errTerminal = errors.New("a terminal changed its line ends (docker exec -t, ssh -t); take it again without -t")

// carriageReturns reports whether every LF follows a CR, in bytes of which some
// are LF. Of 8 that are so by chance in what pg_dump writes, none was seen.
func carriageReturns(b []byte) bool {
	const enough = 8
	n := bytes.Count(b, []byte("\n"))
	return n >= enough && n == bytes.Count(b, []byte("\r\n"))
}

func (a *archive) header(r *reading, d *database) error {
	for _, want := range []byte("PGDMP") {
		if c, err := a.byte(); err != nil || c != want {
			return errors.Join(err, errArchive)
		}
	}
	var numbers [6]byte // major, minor, revision, size of ints, of offsets, format
	for i := range numbers {
		c, err := a.byte()
		if err != nil {
			return err
		}
		numbers[i] = c
	}
	a.version = int(numbers[0])<<16 | int(numbers[1])<<8 | int(numbers[2])
	a.intSize, a.offSize, a.format = int(numbers[3]), int(numbers[4]), numbers[5]
	r.dump.Archive = fmt.Sprintf("%d.%d", numbers[0], numbers[1])
	if a.version < oldestArchive || a.version>>8 > newestArchive>>8 {
		return &unknownVersion{r.dump.Archive}
	}
	if a.intSize < 4 || a.intSize > 32 || a.offSize < 4 || a.offSize > 32 {
		return errArchive
	}
	if err := a.readCompression(); err != nil {
		return err
	}
	r.dump.Compression = a.compression
	var when [7]int64 // second to year since 1900, daylight saving
	for i := range when {
		n, err := a.int()
		if err != nil {
			return err
		}
		when[i] = n
	}
	var texts [3]string
	for i := range texts {
		var err error
		if texts[i], err = a.string(mostName); err != nil {
			return err
		}
		if !isName(texts[i]) {
			return errArchive
		}
	}
	created, ok := timeOf(when)
	if !ok {
		return errArchive
	}
	d.Created, d.Name, d.Postgres, d.PgDump = created, texts[0], texts[1], texts[2]
	return nil
}

// mostName is how much is read of a database's name or of a version. Both are
// shorter; what is longer is not one of them.
const mostName = 1024

// isName reports whether a text can be shown: what a damaged archive has in the
// place of a name may be anything.
func isName(text string) bool {
	return len(text) < mostName && utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// timeOf writes the time of an archive, in the numbers of C's struct tm.
func timeOf(tm [7]int64) (string, bool) {
	for i, most := range []int64{60, 59, 23, 31, 11, 1_000} {
		if tm[i] < 0 || tm[i] > most {
			return "", false
		}
	}
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d:%02d", tm[5]+1900, tm[4]+1, tm[3], tm[2], tm[1], tm[0]), true
}

// unknownVersion is an archive of a Postgres that is too old or too new.
type unknownVersion struct{ version string }

func (u *unknownVersion) Error() string {
	return "archive version " + u.version + " is unknown; known are 1.12 to 1.16 (Postgres 9.0 to 18)"
}

// readCompression reads the algorithm or, before 1.15, zlib's level.
func (a *archive) readCompression() error {
	if a.version >= 1<<16|15<<8 {
		c, err := a.byte()
		if err == nil && int(c) >= len(archiveCompressions) {
			err = errArchive
		}
		if err == nil {
			a.compression = archiveCompressions[c]
		}
		return err
	}
	level, err := a.int()
	if level == 0 {
		a.compression = "none"
	}
	return err
}

// contents reads the table of contents.
func (a *archive) contents(r *reading, d *database) error {
	n, err := a.int()
	if err != nil {
		return err
	}
	if n < 0 {
		return errArchive
	}
	if n > mostEntries {
		r.fault(pgdump.Unclear, "its table of contents has %d entries; at most %d are read", n, mostEntries)
		return errTooMuch
	}
	a.count = int(n)
	for range n {
		if err := a.entry(r, d); err != nil {
			return err
		}
	}
	return nil
}

// tocEntry is an entry as it stands in the table of contents.
type tocEntry struct {
	id, dumped                     int64
	tag, what, definition, copying string
	schema                         string
	file                           string
	position                       byte
}

// entry reads one entry and keeps what is needed of it.
func (a *archive) entry(r *reading, d *database) error {
	e, err := a.readEntry()
	if err != nil {
		return err
	}
	switch {
	case e.what == "TABLE":
		s := &script{reading: r, lexer: lexer{in: newBytes([]byte(e.definition))}, db: d}
		for s.statement() {
		}
	case e.file == "" && a.format != formatCustom, a.format == formatCustom && e.position == positionNone:
	case a.entries[e.id] != nil:
		return errArchive
	default:
		if !r.keep(perEntry + len(e.what) + len(e.tag) + len(e.file)) {
			return errTooMuch
		}
		known := &entry{id: e.id, what: e.what, tag: e.tag, file: e.file, expected: true}
		if e.what == "TABLE DATA" {
			a.tableData(r, d, e, known)
		}
		a.entries[e.id] = known
		a.order = append(a.order, known)
	}
	return nil
}

// tableData reads the columns from the COPY statement before the data.
func (a *archive) tableData(r *reading, d *database, e tocEntry, into *entry) {
	if e.copying == "" {
		into.table = r.table(d, r.name(e.schema), r.name(e.tag), nil)
		return
	}
	s := &script{reading: r, lexer: lexer{in: newBytes([]byte(e.copying))}, db: d}
	columns := []string{}
	if s.token(false).is("COPY") {
		if _, _, ok := s.tableName(); ok {
			if s.token(false).mark('(') {
				columns = s.names()
			}
		}
	}
	into.copied, into.columns = true, len(columns)
	into.table = r.table(d, r.name(e.schema), r.name(e.tag), columns)
}

// readEntry reads an entry of the table of contents, whose shape depends on
// the archive's version.
func (a *archive) readEntry() (e tocEntry, err error) {
	read := func(into *int64) {
		if err == nil {
			*into, err = a.int()
		}
	}
	text := func(into *string, most int) {
		if err == nil {
			*into, err = a.string(most)
		}
	}
	var number int64
	var ignored string
	read(&e.id)
	read(&e.dumped)
	text(&ignored, 0) // object ids: of the catalogue's table, and within it
	text(&ignored, 0)
	text(&e.tag, mostText)
	text(&e.what, mostText)
	read(&number) // section
	if e.what == "TABLE" {
		text(&e.definition, mostDefinition)
	} else {
		text(&ignored, 0)
	}
	text(&ignored, 0) // how to drop it
	text(&e.copying, mostDefinition)
	text(&e.schema, mostText)
	text(&ignored, 0) // tablespace
	if a.version >= 1<<16|14<<8 {
		text(&ignored, 0) // access method
	}
	if a.version >= 1<<16|16<<8 {
		read(&number) // kind of relation
	}
	text(&ignored, 0)                       // owner
	text(&ignored, 0)                       // with oids
	for more := true; more && err == nil; { // what it depends on
		var n int64
		read(&n)
		more = n >= 0 && err == nil
		if more {
			err = a.passBytes(n)
		}
	}
	if err != nil {
		return e, err
	}
	if a.format != formatCustom {
		text(&e.file, mostText)
		return e, err
	}
	e.position, err = a.byte()
	if err == nil {
		err = a.passBytes(int64(a.offSize))
	}
	return e, err
}

func (a *archive) passBytes(n int64) error {
	for n > 0 {
		w := a.in.window()
		if len(w) == 0 {
			return a.cut()
		}
		k := min(int64(len(w)), n)
		a.in.pass(int(k))
		n -= k
	}
	return nil
}

// brokenContents records why a table of contents could not be read.
func (r *reading) brokenContents(err error) {
	var unknown *unknownVersion
	switch {
	case errors.As(err, &unknown):
		r.fault(pgdump.Unclear, "%v", err)
	case errors.Is(err, errTooMuch):
	case errors.Is(err, errArchive):
		r.fault(pgdump.Damaged, "its table of contents is damaged")
	case endsEarly(err):
		r.fault(pgdump.Truncated, "it ends within its table of contents")
	default:
		r.broken("its table of contents", err)
	}
}

// rows reads the data of a table from an archive: rows of a COPY with their
// end, or INSERTs.
func (r *reading) rows(d *database, e *entry, in *input) {
	s := &script{reading: r, lexer: lexer{in: in, begins: true}, db: d}
	if e.copied {
		before := len(r.dump.Faults)
		s.copyRows(e.table, e.columns)
		if rest := bytes.TrimSpace(in.peek(headroom)); len(rest) > 0 && len(r.dump.Faults) == before {
			r.fault(pgdump.Damaged, "%s has data behind the end of its rows", e)
		}
	} else {
		for s.statement() {
		}
		if s.unclosed != "" {
			r.fault(pgdump.Truncated, "the rows of %s end within %s", e, s.unclosed)
		}
		e.table.Data = true
		if e.table.end != nil && s.unclosed == "" {
			e.table.end()
		}
	}
	for len(in.window()) > 0 { // to the end, so that checksums are verified
		in.pass(len(in.window()))
	}
}
