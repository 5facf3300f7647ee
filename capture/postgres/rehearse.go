package postgres

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/content"
	"holdfast/target"
)

// Rehearse loads the schema of the capture into the database name, which Create
// has made, in the steps of a restore and without its rows. It goes on where a
// restore would stop, and returns everything that one would stop at. The error
// says why that could not be found out.
func (l Loader) Rehearse(
	ctx context.Context, name string, c holdfast.Part, fit target.Compatibility, files holdfast.Files,
) ([]holdfast.Obstacle, error) {
	rows, err := content.RowsOf(c)
	if err != nil {
		return nil, err
	}
	l.Tools = l.Tools.near(l.Address)
	l.Options.Lanes = 1 // what pg_restore says of several at once could not be told apart
	tables := slices.Clone(rows.Tables)
	for i := range tables {
		tables[i].Segments, tables[i].Rows, tables[i].Bytes = nil, 0, 0
	}
	rows.Tables = tables
	rows = without(rows, fit.Without)
	b := &build{
		Loader: l, outside: l, name: name, capture: c, rows: rows, fit: fit, files: files,
		trial: &trial{absent: schemasWithout(c, fit.Without)},
	}
	b.Address = l.Address.On(name)
	if b.info, err = b.Address.Resolve(ctx); err != nil {
		return nil, err
	}
	if err := b.run(ctx); err != nil {
		return nil, err
	}
	return b.trial.obstacles(), nil
}

// trial gathers what a restore would stop at. Without one, a build stops.
type trial struct {
	mu     sync.Mutex
	stops  []stop
	absent []string // schemas of extensions that are left out
}

// schemasWithout are the schemas of what extensions that are left out would have
// made, as far as it is known.
func schemasWithout(c holdfast.Part, names []string) []string {
	if c.Database.Needs == nil {
		return nil
	}
	var out []string
	for _, e := range c.Database.Needs.Extensions {
		if !slices.Contains(names, e.Word()) {
			continue
		}
		for _, object := range e.Configuration {
			schema, _, _ := strings.Cut(object, ".")
			out = append(out, strings.Trim(schema, `"`))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// stop is one thing that a restore would stop at.
type stop struct {
	holdfast.Obstacle
	kind string // "TABLE", as pg_restore says
	name string // of the object alone, to recognize what only follows from it
}

// stopped notes an error of the database as an obstacle, and returns any other.
func (t *trial) stopped(err error, s stop) error {
	if err == nil || code(err) == "" {
		return err
	}
	s.Refusal, s.Code = errorLine(err), code(err)
	t.add(s)
	return nil
}

// tried is the error that ends the build: in a trial, none of the database's.
func (b *build) tried(err error, s stop) error {
	if b.trial == nil {
		return err
	}
	return b.trial.stopped(err, s)
}

func (t *trial) add(s stop) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.Definition = shortened(s.Definition)
	t.stops = append(t.stops, s)
}

// stopsAt reports whether an object is among the stops.
func (t *trial) stopsAt(object string) bool {
	return slices.ContainsFunc(t.stops, func(s stop) bool { return s.Object == object })
}

// obstacles are the stops, without those that only follow from another: an
// object that is missing because it was refused.
func (t *trial) obstacles() []holdfast.Obstacle {
	var out []holdfast.Obstacle
	for i, s := range t.stops {
		if !slices.ContainsFunc(t.stops[:i], s.follows) && !s.lacks(t.absent) {
			if s.Do == "" {
				s.Do = adviceOn(s)
			}
			out = append(out, s.Obstacle)
		}
	}
	return out
}

// follows reports whether a stop comes from an earlier one.
func (s stop) follows(earlier stop) bool {
	return unknownName(s.Code) && mentions(s.Refusal, earlier.name)
}

// lacks reports whether a stop comes from a schema whose extension is left out.
func (s stop) lacks(schemas []string) bool {
	return unknownName(s.Code) && slices.ContainsFunc(schemas, func(schema string) bool {
		return regexp.MustCompile(`(?:^|\W)` + regexp.QuoteMeta(schema) + `(?:\W|$)`).MatchString(s.Refusal)
	})
}

// unknownName reports whether a name was not found: of a table, a function or
// an operator, a type or the like, a schema.
func unknownName(code string) bool {
	return slices.Contains([]string{"42P01", "42883", "42704", "3F000"}, code)
}

// mentions reports whether a text has a name as a word.
func mentions(text, name string) bool {
	within := func(c byte) bool { return isLetter(c) || c >= '0' && c <= '9' || c == '.' }
	for from := 0; name != ""; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return false
		}
		at += from
		from = at + len(name)
		if (at == 0 || !within(text[at-1])) && (from == len(text) || !within(text[from])) {
			return true
		}
	}
	return false
}

func shortened(definition string) string {
	const most = 2000
	definition = strings.TrimSpace(definition)
	if len(definition) > most {
		definition = strings.ToValidUTF8(definition[:most], "") + " ..."
	}
	return definition
}

// adviceOn says what to do about an object that was refused, by what kind of
// refusal it is.
func adviceOn(s stop) string {
	const again = " Then run the backup again."
	switch {
	case s.Code == "42501":
		return "Only another role may make it. Restore as a superuser (--to), or drop it if nobody needs it." + again
	case s.kind == "EXTENSION" && (s.Code == "58P01" || s.Code == "0A000"):
		return "Install the extension's package on the server, or drop the extension." + again
	case s.kind == "EXTENSION":
		return "The extension may be bound to its database. Move it to a database of its own, " +
			"or keep this database's dump by pg_dump as well."
	case (s.kind == "CHECK" || s.kind == "INDEX" || s.kind == "MATERIALIZED VIEW") && unknownName(s.Code):
		return "Write the schema in front of the names in its functions, or give those a path: " +
			"ALTER FUNCTION ... SET search_path = pg_catalog, ...;" + again
	case s.Code == "58P01":
		return "Install the library on the server, or drop the object." + again
	}
	return "Change the object in the live database so that its definition can be loaded again, or drop it." + again
}

// said reads what pg_restore complained of, error by error. The statements that
// it passed over are said again in a transaction that is taken back, because
// pg_restore does not say the codes of errors.
func (b *build) said(ctx context.Context, t *toolFailed) error {
	if t.cut {
		return fmt.Errorf("pg_restore said too much to be read: %w", t)
	}
	list := complaints(t.lines)
	if len(list) == 0 {
		return t
	}
	conn, err := b.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(conn)
	for _, s := range list {
		if s.Definition == "SET transaction_timeout = 0;" {
			continue // a newer pg_restore than the server's
		}
		tx, err := conn.Begin(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, s.Definition, pgx.QueryExecModeSimpleProtocol)
		if err := tx.Rollback(ctx); err != nil {
			return err
		}
		if s.Code = code(err); s.Code != "" {
			s.Refusal = errorLine(err)
		}
		b.trial.add(s)
	}
	return nil
}

var (
	// toolLine begins everything that pg_restore says.
	toolLine = regexp.MustCompile(`(?m)^pg_restore: `)
	// making names what the next errors are about.
	making = regexp.MustCompile(`^creating ([A-Z][A-Z ]*[A-Z]) "(.*)"$`)
)

// complaints reads the errors that pg_restore passed over, the first of each
// object: what follows, such as its owner, fails for that.
func complaints(said string) []stop {
	var out []stop
	entry, failed := stop{}, false
	for _, part := range toolLine.Split(said, -1) {
		part = strings.TrimRight(part, "\n")
		if m := making.FindStringSubmatch(part); m != nil {
			entry, failed = stopAt(m[1], m[2]), false
			continue
		}
		_, complaint, found := strings.Cut(part, "error: could not execute query: ")
		if !found || failed {
			continue
		}
		failed = entry.Object != ""
		refusal, definition, _ := strings.Cut(complaint, "\nCommand was: ")
		s := entry
		s.Refusal, s.Definition = oneLine(refusal), definition
		if s.Object == "" { // a setting, before there are objects
			s.Object = "statement"
		}
		out = append(out, s)
	}
	return out
}

// stopAt names an object as pg_restore does: "function public.known_kind(text)".
func stopAt(kind, tag string) stop {
	s := stop{kind: kind}
	s.Object = strings.ToLower(kind) + " " + tag
	s.name, _, _ = strings.Cut(tag, "(")
	if i := strings.LastIndexByte(s.name, ' '); i >= 0 {
		s.name = s.name[i+1:]
	}
	return s
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// errorLine is a server's error with what it adds, on one line.
func errorLine(err error) string {
	out := err.Error()
	if pg := refused(err); pg != nil {
		out = pg.Message
		for _, more := range []string{pg.Detail, pg.Hint} {
			if more != "" {
				out += ". " + strings.TrimSuffix(more, ".")
			}
		}
	}
	return oneLine(out)
}
