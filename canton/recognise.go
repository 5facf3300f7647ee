package canton

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"holdfast"
)

// Querier reads; a pgx connection and a pgx transaction both do.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Found says what a database turned out to hold.
type Found struct {
	Kind   holdfast.Kind // "" when it holds nothing that is known
	Schema string        // of the marker tables
	Empty  bool          // it has no table at all
	What   string        // for people: "the database of a Canton participant (schema participant)"
	ID     string        // the participant's id without "PAR::", as far as the database says
	Sure   bool          // rows say that it is of that kind, and not only tables
}

// schema is one schema's tables and their columns.
type schema struct {
	name    string
	columns map[string]bool // "table.column"
}

func (s schema) has(table string, columns ...string) bool {
	for _, c := range columns {
		if !s.columns[table+"."+c] {
			return false
		}
	}
	return true
}

// table quotes a table's name for SQL.
func (s schema) table(name string) string { return pgx.Identifier{s.name, name}.Sanitize() }

func isCanton(s source) bool {
	return s.has("lapi_parameters", "participant_id", "ledger_end") &&
		s.has("common_node_id", "identifier", "namespace")
}

func isSplice(s source) bool {
	return s.has("store_descriptors", "id", "descriptor") &&
		s.has("store_last_ingested_offsets", "store_id", "migration_id", "last_ingested_offset")
}

// schemas reads the columns of every table that is not Postgres's own. A column
// of a type that the database has made is not one of Canton's or Splice's unless
// it is an enumeration. It is left out, and so is one of a type that has a cast:
// reading it as text would run whatever function the cast is made of, as our role.
func schemas(ctx context.Context, q Querier) ([]schema, error) {
	rows, err := q.Query(ctx, `
		SELECT n.nspname, c.relname, a.attname, t.oid < 16384 OR t.typtype = 'e'
			AND NOT EXISTS (SELECT FROM pg_cast k WHERE k.castsource = t.oid AND k.castfunc >= 16384)
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		JOIN pg_type t ON t.oid = a.atttypid
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
		ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var out []schema
	var name, table, column string
	var inert bool
	_, err = pgx.ForEachRow(rows, []any{&name, &table, &column, &inert}, func() error {
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, schema{name, map[string]bool{}})
		}
		out[len(out)-1].columns[table+"."+column] = inert
		return nil
	})
	return out, err
}

// Recognise finds out what a database holds, from its tables and rows.
func Recognise(ctx context.Context, q Querier) (Found, error) {
	found, _, err := recognise(ctx, q)
	return found, err
}

func recognise(ctx context.Context, q Querier) (Found, source, error) {
	all, err := schemas(ctx, q)
	if err != nil {
		return Found{}, nil, fmt.Errorf("read the catalogue: %w", err)
	}
	sources := make([]source, len(all))
	for i, s := range all {
		sources[i] = database{ctx, q, s}
	}
	return recogniseOne(sources)
}

// recogniseOne finds the schema that says what a database is.
func recogniseOne(schemas []source) (Found, source, error) {
	if len(schemas) == 0 {
		return Found{Empty: true, What: "an empty database: no tables at all"}, nil, nil
	}
	var names []string
	for _, s := range schemas {
		switch {
		case isCanton(s):
			found, err := recogniseCanton(s)
			return found, s, err
		case isSplice(s):
			found, err := recogniseSplice(s)
			return found, s, err
		}
		names = append(names, s.name())
	}
	return Found{What: "a database with none of the tables of Canton or Splice (schemas: " + strings.Join(names,
		", ") + ")"}, nil, nil
}

// recogniseCanton distinguishes the nodes of Canton, whose databases all have
// the same tables, by the rows that only one of them has. A node without any is
// taken for a participant that has no ledger yet.
func recogniseCanton(s source) (Found, error) {
	found := Found{Kind: holdfast.Participant, Schema: s.name()}
	var id, participant string
	r := reader{source: s}
	r.each(nodeIDs, func(row []*string) { id = text(row[0]) + "::" + text(row[1]) })
	r.each(participantIDs, func(row []*string) { participant = text(row[0]) })
	var other holdfast.Kind
	var of string
	if participant == "" {
		other, of = r.otherNode(id)
	}
	switch {
	case r.err != nil:
		return Found{}, fmt.Errorf("read the node's id: %w", r.err)
	case participant != "":
		found.ID, found.What, found.Sure = participant, fmt.Sprintf("the database of the Canton participant %s "+
			"(schema %s)", participant, s.name()), true
	case other != "":
		found.Kind, found.Sure = other, true
		found.What = fmt.Sprintf("the database of a Canton %s%s (schema %s)", other.Title(), of, s.name())
	case id != "":
		found.ID = id
		found.What = fmt.Sprintf("the database of the Canton node %s (schema %s), which has no ledger yet or is "+
			"not a participant", id, s.name())
	default:
		found.What = fmt.Sprintf("the database of a Canton node that was never initialised (schema %s): it has "+
			"no identity", s.name())
	}
	return found, nil
}

// otherNode is the kind of a node of Canton that is no participant, and words
// about it; "" when no row says so. An orderer with a database of its own has
// no identity; one within the sequencer's is part of the sequencer.
func (r *reader) otherNode(id string) (kind holdfast.Kind, of string) {
	if at, ok := r.synchronizer(sequencerOf); ok {
		return holdfast.Sequencer, " of synchronizer " + at
	}
	if at, ok := r.synchronizer(mediatorOf); ok {
		return holdfast.Mediator, " of synchronizer " + at
	}
	ordered := false
	r.each(epochs, func([]*string) { ordered = true })
	if ordered && id == "" {
		return holdfast.Orderer, ""
	}
	return "", ""
}

// synchronizer is the synchronizer that a node serves, and whether the node is
// one that serves any in that way.
func (r *reader) synchronizer(q query) (id string, ok bool) {
	r.each(q, func(row []*string) { id, ok = cmp.Or(text(row[1]), text(row[2])), true })
	return id, ok
}

// spliceApps are the stores that tell the apps of Splice apart, which run the
// same migrations.
var spliceApps = []struct {
	kind   holdfast.Kind
	stores []string
}{
	{holdfast.Validator, []string{"DbValidatorStore"}},
	{holdfast.Scan, []string{"DbScanStore"}},
	{holdfast.SV, []string{"DbSvSvStore", "DbSvDsoStore"}},
}

// recogniseSplice distinguishes the apps of Splice by their stores.
func recogniseSplice(s source) (Found, error) {
	r := reader{source: s}
	stores := slices.SortedFunc(maps.Values(r.descriptors()), func(a, b descriptor) int {
		return cmp.Compare(b.id, a.id)
	})
	if r.err != nil {
		return Found{}, fmt.Errorf("read the stores: %w", r.err)
	}
	for _, app := range spliceApps {
		i := slices.IndexFunc(stores, func(d descriptor) bool { return slices.Contains(app.stores, d.name) })
		if i < 0 {
			continue
		}
		id := strings.TrimPrefix(stores[i].participant, "PAR::")
		what := fmt.Sprintf("the database of the %s of participant %s (schema %s)", app.kind.Title(), id, s.name())
		return Found{Kind: app.kind, Schema: s.name(), ID: id, What: what, Sure: true}, nil
	}
	return Found{
		Kind:   holdfast.Validator,
		Schema: s.name(),
		What:   fmt.Sprintf("the database of a Splice app that has no stores yet (schema %s)", s.name()),
	}, nil
}

// Refuse says why a database that was found to be that cannot be captured as a
// component of that kind, or nil. A database that is not known at all is let
// through: its facts will be unknown, and so will its order.
func (f Found) Refuse(c holdfast.Component, where string) error {
	do := "Correct `databases:` in holdfast.yaml; `psql -l` lists what the server has."
	if f.Sure && f.Kind != c.Kind {
		do = fmt.Sprintf("If this database belongs to the node, write `kind: %s` for %s below `databases:` in "+
			"holdfast.yaml.", f.Kind, c.Name)
	}
	why := f.objection(c.Kind)
	if why == "" {
		return nil
	}
	return &holdfast.Problem{Class: holdfast.Refused, Why: why, Do: do,
		What: fmt.Sprintf("%s is configured as %s, kind %s, but it is %s", where, c.Name, c.Kind, f.What)}
}

// objection is what speaks against capturing the database as that kind.
func (f Found) objection(kind holdfast.Kind) string {
	switch {
	case f.Empty:
		return "There is nothing in it to back up, so a set with it would be worthless."
	case f.Kind == "" || f.Kind == kind && (f.Sure || f.ID != "" || kind != holdfast.Participant):
		return ""
	case f.Kind == kind:
		return "A node that was started with another migration id makes itself such a database; the one with the " +
			"keys has another name."
	case kind == holdfast.App:
		return "As an app's database it would escape the rules of order."
	}
	return "A set taken this way would have its order reversed."
}
