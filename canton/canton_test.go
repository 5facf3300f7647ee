package canton

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/internal/splicetest"
)

// databases is a server on which each test makes databases of its own.
type databases struct {
	*splicetest.Server
	count int
}

// make makes a database with that content and connects to it.
func (d *databases) make(t *testing.T, fill ...func(context.Context, string) error) *pgx.Conn {
	t.Helper()
	d.count++
	name := fmt.Sprintf("db%d", d.count)
	if err := d.Exec(t.Context(), "postgres", "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	for _, f := range fill {
		if err := f(t.Context(), d.DSN(name)); err != nil {
			t.Fatal(err)
		}
	}
	conn, err := pgx.Connect(t.Context(), d.DSN(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func run(sql string) func(context.Context, string) error {
	return func(ctx context.Context, dsn string) error {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
		return err
	}
}

const id = "somebody::1220aaaa"

// A descriptor as an app of Splice writes it.
func store(name, participant string) func(context.Context, string) error {
	return run(fmt.Sprintf(`INSERT INTO validator.store_descriptors (id, descriptor) VALUES (900, '{"name": %q, "version": 2, "participant": %q}')`, name, participant))
}

func TestRecognise(t *testing.T) {
	d := &databases{Server: splicetest.NewServer(t, "")}
	identified := run(`INSERT INTO participant.common_node_id (identifier, namespace) VALUES ('somebody', '1220aaaa')`)
	for _, c := range []struct {
		name string
		fill []func(context.Context, string) error
		kind holdfast.Kind
		id   string
		what string
		// whom it is refused as
		refused []holdfast.Kind
	}{
		{"an empty database", nil, "", "", "no tables at all", holdfast.Kinds},
		{"a schema without tables", []func(context.Context, string) error{run(`CREATE SCHEMA participant; CREATE VIEW participant.v AS SELECT 1`)}, "", "", "no tables at all", holdfast.Kinds},
		{"an application's", []func(context.Context, string) error{splicetest.AppSchema}, "", "", "none of the tables of Canton or Splice", nil},
		{"a participant that was never initialised", []func(context.Context, string) error{splicetest.ParticipantSchema}, holdfast.Participant, "",
			"never initialised", holdfast.Kinds},
		{"a node of Canton without a ledger", []func(context.Context, string) error{splicetest.ParticipantSchema, identified}, holdfast.Participant, id,
			"no ledger yet or is not a participant", []holdfast.Kind{holdfast.Validator, holdfast.App}},
		{"a participant in a schema of another name", []func(context.Context, string) error{splicetest.ParticipantSchema, identified, run(`ALTER SCHEMA participant RENAME TO "My ledger"`)}, holdfast.Participant, id,
			"schema My ledger", []holdfast.Kind{holdfast.Validator, holdfast.App}},
		{"an app of Splice without stores", []func(context.Context, string) error{splicetest.ValidatorSchema}, holdfast.Validator, "",
			"no stores yet", []holdfast.Kind{holdfast.Participant, holdfast.App}},
		{"a validator app", []func(context.Context, string) error{splicetest.ValidatorSchema, store("DbValidatorStore", "PAR::"+id)}, holdfast.Validator, id,
			"validator app of participant " + id, []holdfast.Kind{holdfast.Participant, holdfast.App}},
		{"a scan app", []func(context.Context, string) error{splicetest.ValidatorSchema, store("DbScanStore", "PAR::"+id)}, holdfast.App, "", "scan app", []holdfast.Kind{holdfast.Participant, holdfast.Validator}},
		{"an SV app", []func(context.Context, string) error{splicetest.ValidatorSchema, store("DbSvDsoStore", "PAR::"+id)}, holdfast.App, "", "SV app", []holdfast.Kind{holdfast.Participant, holdfast.Validator}},
		{"tables of the same names with other columns", []func(context.Context, string) error{run(`CREATE TABLE lapi_parameters (a integer); CREATE TABLE common_node_id (b integer)`)}, "", "", "none of the tables", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := d.make(t, c.fill...)
			found, err := Recognise(t.Context(), conn)
			if err != nil || found.Kind != c.kind || found.ID != c.id || !strings.Contains(found.What, c.what) {
				t.Errorf("%+v, %v", found, err)
			}
			for _, kind := range holdfast.Kinds {
				err := found.Refuse(holdfast.Component{Name: "c", Kind: kind}, "database x")
				want := false
				for _, k := range c.refused {
					want = want || k == kind
				}
				if (err != nil) != want || err != nil && holdfast.ClassOf(err) != holdfast.Refused {
					t.Errorf("as %s: %v", kind, err)
				}
			}
		})
	}
}

func TestReadTheFactsOfANode(t *testing.T) {
	splicetest.EachVersion(t, func(t *testing.T, version string) {
		t.Parallel()
		node := splicetest.NewNode(t, splicetest.NodeOptions{Version: version})
		read := func(dsn string, kind holdfast.Kind) holdfast.Facts {
			conn, err := pgx.Connect(t.Context(), dsn)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			facts, err := Read(t.Context(), conn, kind)
			if err != nil {
				t.Fatal(err)
			}
			return facts
		}
		end, err := node.LedgerEnd(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p := read(node.ParticipantDSN(), holdfast.Participant)
		if p.Participant == nil || p.Participant.ParticipantID != node.Identities.ParticipantID || p.Participant.LedgerEnd == nil || *p.Participant.LedgerEnd != end {
			t.Fatalf("%+v, ledger end %d", p, end)
		}
		if len(p.Participant.Keys) != len(node.Identities.Keys) || len(p.Participant.Users) == 0 || len(p.Participant.Synchronizers) == 0 || len(p.Participant.RecordTimes) == 0 || p.Participant.Pruning == nil || p.Migrations == "" {
			t.Errorf("%+v", p.Participant)
		}
		for _, s := range p.Participant.Synchronizers {
			if _, ok := s.Serial(); !ok {
				t.Errorf("no serial in %s", s.PhysicalID)
			}
		}
		if serial, ok := p.Participant.ActiveSerial(); !ok || serial != 5 {
			t.Errorf("serial %d, %v", serial, ok)
		}
		if len(p.Participant.Dars) != 1 || p.Participant.Dars[0].Name != "splice-amulet" || p.Participant.Users[0].Created == nil {
			t.Errorf("%+v, %+v", p.Participant.Dars, p.Participant.Users[0])
		}
		since := func(offset int64) []string {
			conn, err := pgx.Connect(t.Context(), node.ParticipantDSN())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			parties, err := PartiesSince(t.Context(), conn, offset)
			if err != nil {
				t.Fatal(err)
			}
			return parties
		}
		if p.Participant.NoPruning {
			t.Error("a schedule is there, and is not")
		}
		if all, later := since(0), since(1); len(all) != 2 || len(later) != 1 || len(since(3)) != 0 { // the DSO's party is not local
			t.Errorf("parties %v, later %v, last %v", all, later, since(3))
		}
		v := read(node.ValidatorDSN(), holdfast.Validator)
		ingested, err := node.Ingested(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var most int64
		current := 0
		for _, s := range v.Validator.Stores {
			if s.Current && s.Offset != nil {
				current++
				most = max(most, *s.Offset)
			}
		}
		if most != ingested || current == 0 || len(v.Validator.Users) == 0 {
			t.Errorf("%+v; ingested %d", v.Validator, ingested)
		}
		if ids := v.Validator.Participants(); len(ids) != 1 || ids[0] != node.Identities.ParticipantID {
			t.Errorf("participants %v", ids)
		}

		// The wrong way round, neither is known.
		for dsn, kind := range map[string]holdfast.Kind{node.ParticipantDSN(): holdfast.Validator, node.ValidatorDSN(): holdfast.Participant} {
			if f := read(dsn, kind); f.Schema != "unknown" || f.Unknown == "" || f.Participant != nil || f.Validator != nil {
				t.Errorf("%+v", f)
			}
		}
	})
}

// A release with another schema gives fewer facts or none, and never an error
// that would abort the transaction of a dump.
func TestAReleaseWithAnotherSchemaIsNotAnError(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	conn, err := pgx.Connect(t.Context(), node.ParticipantDSN())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, c := range []struct{ sql, schema string }{
		{`ALTER TABLE participant.lapi_users RENAME COLUMN user_id TO its_id`, "participant"},
		{`ALTER TABLE participant.par_pruning_schedules DROP COLUMN retention CASCADE`, "participant"},
		{`DROP TABLE participant.common_kms_metadata_store CASCADE`, "participant"},
		{`DROP TABLE participant.flyway_schema_history CASCADE`, "participant"},
		{`ALTER TABLE participant.lapi_parameters RENAME COLUMN participant_pruned_up_to_inclusive TO pruned`, "unknown"},
		{`ALTER TABLE participant.lapi_parameters RENAME COLUMN pruned TO participant_pruned_up_to_inclusive`, "participant"},
		{`DELETE FROM participant.lapi_parameters`, "unknown"},
		{`ALTER TABLE participant.lapi_parameters RENAME COLUMN ledger_end TO last`, "unknown"},
	} {
		if _, err := conn.Exec(t.Context(), c.sql); err != nil {
			t.Fatalf("%s: %v", c.sql, err)
		}
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		facts, err := Read(t.Context(), tx, holdfast.Participant)
		if err != nil || facts.Schema != c.schema || c.schema == "unknown" && facts.Unknown == "" {
			t.Errorf("after %s: %+v, %v", c.sql, facts, err)
		}
		if err := tx.Commit(t.Context()); err != nil {
			t.Errorf("after %s the transaction is broken: %v", c.sql, err)
		}
	}
}
