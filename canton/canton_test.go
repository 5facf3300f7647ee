package canton

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

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

// The rows by which a node of Canton is recognised, and those that say how far
// it has come. The sequencer's watermark has not reached its last block.
const (
	ledger = `INSERT INTO participant.lapi_parameters (participant_id) VALUES ('` + id + `')`

	sequencer = `
		INSERT INTO participant.sequencer_synchronizer_configuration (synchronizer_id, static_synchronizer_parameters) VALUES ('global::1220bbbb', '');
		INSERT INTO participant.sequencer_watermarks VALUES (0, 3500000, true);
		INSERT INTO participant.seq_block_height (height, latest_event_ts) VALUES (7, 2000000), (8, 3000000), (9, 4000000);
		INSERT INTO participant.sequencer_lower_bound (ts) VALUES (1000000)`

	mediator = `
		INSERT INTO participant.mediator_synchronizer_configuration (synchronizer_id, static_synchronizer_parameters, sequencer_connection)
			VALUES ('global::1220bbbb', '', '');
		INSERT INTO participant.common_head_sequencer_counters VALUES (1, 12, 5000000)`

	orderer = `INSERT INTO participant.ord_epochs VALUES (3, 30, 10, 1000000, true)`

	physical = `ALTER TABLE participant.sequencer_synchronizer_configuration RENAME COLUMN synchronizer_id TO physical_synchronizer_id;`
)

// but lists the other kinds.
func but(kind holdfast.Kind) []holdfast.Kind {
	return slices.DeleteFunc(holdfast.Kinds(), func(k holdfast.Kind) bool { return k == kind })
}

// ingested says how far that store has come.
var ingested = run(`INSERT INTO validator.store_last_ingested_offsets (store_id, migration_id, last_ingested_offset) VALUES (900, 0, '00000000000000002a')`)

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
		{"an empty database", nil, "", "", "no tables at all", holdfast.Kinds()},
		{"a schema without tables",
			[]func(context.Context, string) error{run(`CREATE SCHEMA participant; CREATE VIEW participant.v AS SELECT 1`)}, "", "", "no tables at all", holdfast.Kinds()},
		{"an application's", []func(context.Context, string) error{splicetest.AppSchema}, "", "",
			"none of the tables of Canton or Splice", nil},
		{"a participant that was never initialised",
			[]func(context.Context, string) error{splicetest.ParticipantSchema}, holdfast.Participant, "",
			"never initialised", holdfast.Kinds()},
		{"a node of Canton without a ledger",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified}, holdfast.Participant, id,
			"no ledger yet or is not a participant", but(holdfast.Participant)},
		{"a participant in a schema of another name",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified,
				run(`ALTER SCHEMA participant RENAME TO "My ledger"`)}, holdfast.Participant, id,
			"schema My ledger", but(holdfast.Participant)},
		{"a participant",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified, run(ledger)},
			holdfast.Participant, id,
			"the database of the Canton participant " + id, but(holdfast.Participant)},
		{"a sequencer",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified, run(sequencer)},
			holdfast.Sequencer, "",
			"the database of a Canton sequencer of synchronizer global::1220bbbb", but(holdfast.Sequencer)},
		{"a sequencer of a release that has the synchronizer's physical id",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified,
				run(physical + strings.ReplaceAll(sequencer, "(synchronizer_id,", "(physical_synchronizer_id,"))},
			holdfast.Sequencer, "",
			"the database of a Canton sequencer of synchronizer global::1220bbbb", but(holdfast.Sequencer)},
		{"a sequencer that orders its blocks in its own database",
			[]func(context.Context, string) error{splicetest.ParticipantSchema, identified, run(sequencer),
				run(orderer)}, holdfast.Sequencer, "",
			"sequencer", but(holdfast.Sequencer)},
		{"a mediator", []func(context.Context, string) error{splicetest.ParticipantSchema, identified, run(mediator)},
			holdfast.Mediator, "",
			"the database of a Canton mediator of synchronizer global::1220bbbb", but(holdfast.Mediator)},
		{"an orderer", []func(context.Context, string) error{splicetest.ParticipantSchema, run(orderer)},
			holdfast.Orderer, "",
			"the database of a Canton block orderer", but(holdfast.Orderer)},
		{"an app of Splice without stores", []func(context.Context, string) error{splicetest.ValidatorSchema},
			holdfast.Validator, "",
			"no stores yet", but(holdfast.Validator)},
		{"a validator app",
			[]func(context.Context, string) error{splicetest.ValidatorSchema, store("DbValidatorStore", "PAR::"+id)},
			holdfast.Validator, id,
			"validator app of participant " + id, but(holdfast.Validator)},
		{"a scan app",
			[]func(context.Context, string) error{splicetest.ValidatorSchema, store("DbScanStore", "PAR::"+id)},
			holdfast.Scan, id, "scan app", but(holdfast.Scan)},
		{"an SV app",
			[]func(context.Context, string) error{splicetest.ValidatorSchema, store("DbSvDsoStore", "PAR::"+id)},
			holdfast.SV, id, "SV app", but(holdfast.SV)},
		{"tables of the same names with other columns",
			[]func(context.Context, string) error{run(`CREATE TABLE lapi_parameters (a integer); CREATE TABLE common_node_id (b integer)`)}, "", "", "none of the tables", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := d.make(t, c.fill...)
			found, err := Recognise(t.Context(), conn)
			if err != nil || found.Kind != c.kind || found.ID != c.id || !strings.Contains(found.What, c.what) {
				t.Errorf("%+v, %v", found, err)
			}
			for _, kind := range holdfast.Kinds() {
				err := found.Refuse(holdfast.Component{Name: "c", Kind: kind}, "database x")
				want := false
				for _, k := range c.refused {
					want = want || k == kind
				}
				if _, do := holdfast.Advice(err); err != nil && found.Sure &&
					!strings.Contains(do, "`kind: "+string(c.kind)+"`") {
					t.Errorf("as %s: the advice is %q", kind, do)
				}
				if (err != nil) != want || err != nil && holdfast.ClassOf(err) != holdfast.Refused {
					t.Errorf("as %s: %v", kind, err)
				}
			}
		})
	}
}

// What the nodes of a super validator say about themselves; as any other kind
// their facts are unknown, and say what was found.
func TestReadTheFactsOfASuperValidator(t *testing.T) {
	d := &databases{Server: splicetest.NewServer(t, "")}
	at := func(seconds int64) *time.Time { v := time.Unix(seconds, 0).UTC(); return &v }
	height := int64(8)
	for _, c := range []struct {
		kind holdfast.Kind
		fill []func(context.Context, string) error
		want holdfast.Facts
	}{
		{holdfast.Sequencer, []func(context.Context, string) error{splicetest.ParticipantSchema, run(sequencer)},
			holdfast.Facts{Sequencer: &holdfast.SequencerFacts{
				Synchronizer: "global::1220bbbb",
				Height:       &height,
				Head:         at(3),
				LowerBound:   at(1),
			}}},
		{holdfast.Mediator, []func(context.Context, string) error{splicetest.ParticipantSchema, run(mediator)},
			holdfast.Facts{Mediator: &holdfast.MediatorFacts{Synchronizer: "global::1220bbbb", CleanHead: at(5)}}},
		{holdfast.Orderer, []func(context.Context, string) error{splicetest.ParticipantSchema, run(orderer)},
			holdfast.Facts{}},
		{holdfast.Scan,
			[]func(context.Context, string) error{splicetest.ValidatorSchema, store("DbScanStore", "PAR::"+id),
				ingested}, holdfast.Facts{Splice: &holdfast.SpliceFacts{
				Stores: []holdfast.Store{{
					Name:        "DbScanStore",
					Version:     2,
					Participant: "PAR::" + id,
					Raw:         "00000000000000002a",
					Offset:      ptr(int64(42)),
					Current:     true,
				}}}}},
	} {
		conn := d.make(t, c.fill...)
		c.want.Schema = string(c.kind)
		got, err := Read(t.Context(), conn, c.kind)
		got.Migrations = ""
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %s, %v", c.kind, asJSON(got), err)
		}
		if as, err := Read(t.Context(), conn, holdfast.Participant); err != nil || as.Schema != "unknown" ||
			!strings.Contains(as.Unknown, c.kind.Title()) {
			t.Errorf("a %s as participant: %+v, %v", c.kind, as, err)
		}
	}
}

func ptr[T any](v T) *T { return &v }

func asJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
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
		if p.Participant == nil || p.Participant.ParticipantID != node.Identities.ParticipantID ||
			p.Participant.LedgerEnd == nil || *p.Participant.LedgerEnd != end {
			t.Fatalf("%+v, ledger end %d", p, end)
		}
		if len(p.Participant.Keys) != len(node.Identities.Keys) || len(p.Participant.Users) == 0 ||
			len(p.Participant.Synchronizers) == 0 || len(p.Participant.RecordTimes) == 0 ||
			p.Participant.Pruning == nil || p.Migrations == "" {
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
		if len(p.Participant.Dars) != 1 || p.Participant.Dars[0].Name != "splice-amulet" ||
			p.Participant.Users[0].Created == nil {
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
		for dsn, kind := range map[string]holdfast.Kind{
			node.ParticipantDSN(): holdfast.Validator,
			node.ValidatorDSN():   holdfast.Participant,
		} {
			if f := read(dsn, kind); f.Schema != "unknown" || f.Unknown == "" || f.Participant != nil ||
				f.Validator != nil {
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
		{`ALTER TABLE participant.lapi_parameters RENAME COLUMN participant_pruned_up_to_inclusive TO pruned`,
			"unknown"},
		{`ALTER TABLE participant.lapi_parameters RENAME COLUMN pruned TO participant_pruned_up_to_inclusive`,
			"participant"},
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
