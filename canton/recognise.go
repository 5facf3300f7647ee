package canton

import (
	"context"
	"fmt"
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
	ID     string        // the participant's id without "PAR::", as far as the database tells
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
	return s.has("lapi_parameters", "participant_id", "ledger_end") && s.has("common_node_id", "identifier", "namespace")
}

func isSplice(s source) bool {
	return s.has("store_descriptors", "id", "descriptor") &&
		s.has("store_last_ingested_offsets", "store_id", "migration_id", "last_ingested_offset")
}

// schemas reads the columns of every table that is not Postgres's own.
func schemas(ctx context.Context, q Querier) ([]schema, error) {
	rows, err := q.Query(ctx, `
		SELECT n.nspname, c.relname, a.attname
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_'
		ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	var out []schema
	var name, table, column string
	_, err = pgx.ForEachRow(rows, []any{&name, &table, &column}, func() error {
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, schema{name, map[string]bool{}})
		}
		out[len(out)-1].columns[table+"."+column] = true
		return nil
	})
	return out, err
}

// Recognise tells what a database holds from the tables and rows in it.
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
	return Found{What: "a database with none of the tables of Canton or Splice (schemas: " + strings.Join(names, ", ") + ")"}, nil, nil
}

// recogniseCanton tells a participant from the other Canton nodes, whose
// databases have the same tables: only a participant fills the ledger API's.
func recogniseCanton(s source) (Found, error) {
	found := Found{Kind: holdfast.Participant, Schema: s.name()}
	var id, participant string
	r := reader{source: s}
	r.each(nodeIDs, func(row []*string) { id = text(row[0]) + "::" + text(row[1]) })
	r.each(participantIDs, func(row []*string) { participant = text(row[0]) })
	switch {
	case r.err != nil:
		return Found{}, fmt.Errorf("read the node's id: %w", r.err)
	case participant != "":
		found.ID, found.What = participant, fmt.Sprintf("the database of the Canton participant %s (schema %s)", participant, s.name())
	case id != "":
		found.ID = id
		found.What = fmt.Sprintf("the database of the Canton node %s (schema %s), which has no ledger yet or is not a participant", id, s.name())
	default:
		found.What = fmt.Sprintf("the database of a Canton node that was never initialised (schema %s): it has no identity", s.name())
	}
	return found, nil
}

// recogniseSplice tells a validator app from the other Splice apps, which run
// the same migrations, by the stores it has.
func recogniseSplice(s source) (Found, error) {
	r := reader{source: s}
	stores := map[string]bool{}
	var id string
	newest := int64(-1)
	for _, d := range r.descriptors() {
		stores[d.name] = true
		if d.name == "DbValidatorStore" && d.id > newest {
			newest = d.id
			id = strings.TrimPrefix(d.participant, "PAR::")
		}
	}
	name := s.name()
	switch {
	case r.err != nil:
		return Found{}, fmt.Errorf("read the stores: %w", r.err)
	case stores["DbValidatorStore"]:
		return Found{Kind: holdfast.Validator, Schema: name, ID: id, What: fmt.Sprintf("the database of the validator app of participant %s (schema %s)", id, name)}, nil
	case stores["DbScanStore"]:
		return Found{Kind: holdfast.App, Schema: name, What: fmt.Sprintf("the database of a scan app (schema %s)", name)}, nil
	case stores["DbSvSvStore"], stores["DbSvDsoStore"]:
		return Found{Kind: holdfast.App, Schema: name, What: fmt.Sprintf("the database of an SV app (schema %s)", name)}, nil
	}
	return Found{Kind: holdfast.Validator, Schema: name, What: fmt.Sprintf("the database of a Splice app that has no stores yet (schema %s)", name)}, nil
}

// Refuse says why a database that was found to be that cannot be captured as a
// component of that kind, or nil. A database that is not known at all is let
// through: its facts will be unknown, and its order cannot be told.
func (f Found) Refuse(c holdfast.Component, where string) error {
	wrong := func(why, do string) error {
		return &holdfast.Problem{Class: holdfast.Refused,
			What: fmt.Sprintf("%s is configured as %s, kind %s, but it is %s", where, c.Name, c.Kind, f.What), Why: why, Do: do}
	}
	const check = "Correct `databases:` in holdfast.yaml; `psql -l` lists what the server has."
	switch {
	case f.Empty:
		return wrong("There is nothing in it to back up, so a set with it would be worthless.", check)
	case c.Kind == holdfast.App:
		if f.Kind == holdfast.Participant || f.Kind == holdfast.Validator {
			return wrong("As an app's database it would escape the rules of order.", check)
		}
	case f.Kind != "" && f.Kind != c.Kind:
		return wrong("A set taken this way would have its order reversed.", check)
	case c.Kind == holdfast.Participant && f.Kind == holdfast.Participant && f.ID == "":
		return wrong("A node that was started with another migration id makes itself such a database; the one with the keys has another name.", check)
	}
	return nil
}
