package dumpfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"holdfast/pgdump"
)

// script reads SQL as psql would, and parses the few statements that show its
// content.
type script struct {
	*reading
	lexer
	db                   *database
	schema               string // of names without one: what an old pg_dump sets search_path to
	connect              string // the database that the script has connected to
	cluster, clusterEnds bool
	begun, sections      bool // within a dump of a database; there was one
	ends                 bool // an end was seen
	statements           int
	within               string // the begin of the statement that is being read; "" between statements
}

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// plain reads a whole file of SQL.
func (r *reading) plain(_ context.Context, in *input) {
	r.dump.Form = pgdump.Plain
	s := &script{reading: r, lexer: lexer{in: in, begins: true}}
	s.lexer.comment, s.lexer.carriageReturn = s.note, s.changed
	if string(in.peek(3)) == "\xef\xbb\xbf" {
		in.pass(3)
	}
	if before, _, is := bytes.Cut(in.peek(headroom), []byte("PGDMP")); is {
		s.fault(pgdump.Damaged, "something stands before the archive, and pg_restore does not find it: %q", firstLine(before))
		return
	}
	for s.statement() {
	}
	s.conclude()
}

// changed records that the line ends of the dump are not those of pg_dump.
// psql loads its rows as they were, because COPY escapes their line ends, but
// neither functions nor the values of INSERTs.
func (s *script) changed() {
	if s.begun || s.cluster {
		s.fault(pgdump.Unclear, "its lines end in CR LF: a terminal changed them (docker exec -t, ssh -t), or Windows did; "+
			"functions and values with line breaks are not as they were. Take the dump again without -t")
	}
}

// conclude records whether a file of SQL was complete.
func (s *script) conclude() {
	if s.in.err != nil && !errors.Is(s.in.err, io.EOF) {
		return // the owner of the stream reports its error
	}
	switch {
	case s.unclosed != "":
		s.fault(pgdump.Truncated, "it ends within %s", s.unclosed)
	case s.begun:
		s.fault(pgdump.Truncated, "it ends before the end of the dump of %s", s.where())
	case s.cluster && !s.clusterEnds:
		s.fault(pgdump.Truncated, "it ends before the end of the dump of all databases")
	case s.clusterEnds && !s.cluster, s.ends && !s.sections:
		s.fault(pgdump.Damaged, "its beginning is missing")
	case s.in.at() == 0:
		s.fault(pgdump.Truncated, "it is empty")
	case !s.cluster && !s.sections && s.tables == 0:
		s.dump.Form = pgdump.Unknown
		s.fault(pgdump.Unclear, "it is not a dump of pg_dump or pg_dumpall")
	case !s.cluster && !s.sections:
		s.fault(pgdump.Unclear, "it has neither the beginning nor the end of a dump, so it may be part of one")
	}
}

func (s *script) where() string {
	if s.db != nil && s.db.Name != "" {
		return "database " + s.db.Name
	}
	return "its database"
}

// database is the database of the current statements.
func (s *script) database() *database {
	if s.db == nil {
		s.db = s.newDatabase()
		s.db.Name = s.connect
	}
	return s.db
}

// note reads the comments in which pg_dump describes the dump.
func (s *script) note(line string) {
	after := func(prefix string) (string, bool) { return strings.CutPrefix(line, prefix) }
	switch line {
	case "-- PostgreSQL database dump", "-- PostgreSQL database cluster dump":
		if s.within != "" && !s.begun && !s.sections {
			s.fault(pgdump.Damaged, "something that is no SQL stands before the dump, and psql stumbles over it: %q", s.within)
		}
	}
	switch line {
	case "-- PostgreSQL database dump":
		if s.begun {
			s.fault(pgdump.Truncated, "the dump of %s has no end before the next one begins", s.where())
		}
		s.db, s.begun, s.sections = nil, true, true
		s.database()
		return
	case "-- PostgreSQL database dump complete":
		s.begun, s.ends, s.connect = false, true, ""
		return
	case "-- PostgreSQL database cluster dump":
		s.cluster, s.dump.Form = true, pgdump.Cluster
		return
	case "-- PostgreSQL database cluster dump complete":
		s.clusterEnds = true
		return
	}
	if !s.begun || s.db == nil || len(s.db.order) > 0 {
		return
	}
	if v, ok := after("-- Dumped from database version "); ok {
		s.db.Postgres = v
	} else if v, ok := after("-- Dumped by pg_dump version "); ok {
		s.db.PgDump = v
	} else if v, ok := after("-- Started on "); ok {
		s.db.Created = v
	}
}

// statement reads one statement, or one command of psql, and reports whether
// there was one.
func (s *script) statement() bool {
	s.lexer.space()
	c := s.in.peek(1)
	if len(c) == 0 {
		return false
	}
	if c[0] == '\\' {
		line, _ := s.in.line(mostText)
		s.begins = true
		s.command(string(line))
		return true
	}
	if s.begins && c[0] == 'p' && s.isMessage() {
		line, _ := s.in.line(mostText)
		s.fault(pgdump.Damaged, "it contains a message of pg_dump: %.80q", line)
		return true
	}
	s.statements++
	s.begins = false
	s.within = firstLine(s.in.peek(headroom))
	defer func() { s.within = "" }()
	t := s.token(false)
	switch {
	case t.is("COPY"):
		s.copy()
	case t.is("INSERT"):
		s.insert()
	case t.is("CREATE"):
		s.create()
	case t.is("SET"):
		s.set()
	default:
		s.again()
		s.rest(false)
	}
	return true
}

// firstLine is what can be shown of the begin of a text.
func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSpace(strings.ToValidUTF8(string(line), "?"))
}

// command reads a backslash command of psql.
func (s *script) command(line string) {
	name, rest, _ := strings.Cut(line, " ")
	if name != `\connect` && name != `\c` {
		return
	}
	rest = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(rest), "-reuse-previous=on"))
	s.connect = s.name(connected(rest))
	if s.begun && s.db != nil && len(s.db.order) == 0 {
		s.db.Name = s.connect
	} else if !s.begun {
		s.db = nil
	}
}

// connected reads the database name from the argument of \connect: a name, a
// name in quotes, or a connection string in quotes.
func connected(arg string) string {
	if inner, ok := strings.CutPrefix(arg, `"`); ok {
		arg = strings.ReplaceAll(strings.TrimSuffix(inner, `"`), `""`, `"`)
		if name, ok := strings.CutPrefix(arg, "dbname="); ok {
			name = strings.TrimPrefix(strings.TrimSuffix(name, "'"), "'")
			return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(name)
		}
		return arg
	}
	name, _, _ := strings.Cut(arg, " ")
	return name
}

// rest skips the rest of a statement. Within a function with a body of SQL, and
// within parentheses, a semicolon does not end it.
func (s *script) rest(routine bool) {
	depth, blocks := 0, 0
	for {
		t := s.token(false)
		switch {
		case t.kind == ended:
			s.ended()
			return
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth = max(0, depth-1)
		case t.mark(';') && depth == 0 && blocks == 0:
			return
		case routine && (t.is("BEGIN") || blocks > 0 && t.is("CASE")):
			blocks++
		case routine && blocks > 0 && t.is("END"):
			blocks--
		}
	}
}

// ended records that the stream ended within a statement.
func (s *script) ended() {
	if s.unclosed == "" {
		s.unclosed = "a statement"
	}
}

// set reads the settings that change the meaning of the following statements.
func (s *script) set() {
	name := s.token(false)
	path, strings := name.is("search_path"), name.is("standard_conforming_strings")
	if !path && !strings {
		s.again()
		s.rest(false)
		return
	}
	s.token(false) // = or TO
	value := s.token(true)
	if path {
		s.schema = s.name(string(value.text))
	} else {
		s.escapes = value.is("off")
	}
	s.again()
	s.rest(false)
}

// tableName reads a table's name with its schema.
func (s *script) tableName() (schema, name string, ok bool) {
	schema = s.schema
	t := s.token(true)
	for range 2 {
		if t.kind != word && t.kind != quoted || t.long {
			if t.long {
				s.name(string(t.text))
			}
			s.again()
			return "", "", false
		}
		name = s.name(string(t.text))
		if t = s.token(true); !t.mark('.') {
			break
		}
		schema = name
		t = s.token(true)
	}
	s.again()
	return schema, name, true
}

// names reads a list of names in parentheses.
func (s *script) names() (list []string) {
	for {
		t := s.token(true)
		switch {
		case t.kind == ended || t.mark(')') || t.mark(';'):
			if t.mark(';') {
				s.again()
			}
			return list
		case (t.kind == word || t.kind == quoted) && len(list) < mostColumns:
			list = append(list, s.name(string(t.text)))
		}
	}
}

// copy reads a COPY with its rows.
func (s *script) copy() {
	schema, name, ok := s.tableName()
	columns := []string{}
	if t := s.token(true); t.mark('(') {
		columns = s.names()
	} else {
		s.again()
	}
	words := ""
	for ok {
		t := s.token(true)
		if t.kind == ended {
			s.ended()
			return
		}
		if t.mark(';') {
			break
		}
		if len(words) < 100 {
			words += " " + strings.ToUpper(string(t.text))
		}
	}
	if !ok || words != " FROM STDIN" && words != " WITH OIDS FROM STDIN" {
		if ok {
			s.fault(pgdump.Unclear, "it contains a COPY that pg_dump does not write: COPY %s.%s%s", schema, name, words)
		} else {
			s.rest(false)
		}
		return
	}
	if _, whole := s.in.line(mostText); !whole {
		s.fault(pgdump.Truncated, "it ends before the rows of %s.%s", schema, name)
		return
	}
	s.begins = true
	n := len(columns)
	if strings.HasPrefix(words, " WITH") {
		n++
		columns = append([]string{"oid"}, columns...)
	}
	s.copyRows(s.table(s.database(), schema, name, columns), n)
}

// create finds tables.
func (s *script) create() {
	for {
		t := s.token(false)
		switch {
		case t.is("OR") || t.is("REPLACE") || t.is("UNLOGGED") || t.is("FOREIGN"):
			continue
		case t.is("FUNCTION") || t.is("PROCEDURE"):
			s.rest(true)
			return
		case t.is("TABLE"):
			s.createTable()
			return
		}
		s.again()
		s.rest(false)
		return
	}
}

// createTable reads the names of a table's columns.
func (s *script) createTable() {
	schema, name, ok := s.tableName()
	if !ok || !s.token(false).mark('(') {
		s.again()
		s.rest(false)
		return
	}
	columns := []string{}
	depth, first := 1, true
	for depth > 0 {
		t := s.token(true)
		switch {
		case t.kind == ended:
			s.ended()
			return
		case t.mark('('):
			depth++
		case t.mark(')'):
			depth--
		case t.mark(',') && depth == 1:
			first = true
			continue
		case first && (t.kind == quoted || t.kind == word && !isConstraint(t)) && len(columns) < mostColumns:
			columns = append(columns, s.name(string(t.text)))
		}
		first = false
	}
	s.table(s.database(), schema, name, columns)
	s.rest(false)
}

func isConstraint(t token) bool {
	for _, key := range []string{"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"} {
		if t.is(key) {
			return true
		}
	}
	return false
}
