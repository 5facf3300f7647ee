package endtoend

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/internal/splicetest"
	"holdfast/restore"
)

// belongs reads what belongs to a database and to nothing in it.
const belongs = `SELECT concat_ws(' | ', datconnlimit, datistemplate, datallowconn,
	coalesce(shobj_description(d.oid, 'pg_database'), 'no comment'),
	(SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a),
	(SELECT string_agg(coalesce(r.rolname, '-') || ' ' || s.setconfig::text, ' ' ORDER BY r.rolname)
		FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid))
	FROM pg_database d WHERE datname = '%s'`

// What an operator wrote on a database and set for it is there after a restore,
// and after its undoing: the labels of restores take nothing away. A comment
// that looks like a label is a comment.
func TestWhatBelongsToADatabaseComesBack(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{Settings: map[string]string{"wal_level": "logical"}})
	for _, sql := range []string{
		`COMMENT ON DATABASE "participant-4" IS E'prod, owner: team ledger\nit''s "theirs"'`,
		`COMMENT ON DATABASE validator IS '{"holdfast": "not ours"}'`,
		`ALTER DATABASE "participant-4" CONNECTION LIMIT 77`,
		`ALTER DATABASE validator IS_TEMPLATE true`,
		`ALTER DATABASE "participant-4" SET search_path = participant, "$user", public`,
		`ALTER DATABASE "participant-4" SET "app.note" = E'it''s, a "list"\nof two'`,
		`ALTER DATABASE "participant-4" SET default_transaction_read_only = on`,
		`ALTER ROLE cnadmin IN DATABASE "participant-4" SET lock_timeout = '7s'`,
		`CREATE ROLE reporting`,
		`REVOKE CONNECT ON DATABASE "participant-4" FROM PUBLIC`,
		`GRANT CONNECT, TEMPORARY ON DATABASE "participant-4" TO reporting WITH GRANT OPTION`,
	} {
		if err := b.Participant.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	if err := b.Participant.Exec(t.Context(), "participant-4",
		`SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')`); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		var out []string
		for _, name := range []string{"participant-4", "validator"} {
			out = append(out, query[string](t, b.Participant.DSN("postgres"), fmt.Sprintf(belongs, name)))
		}
		return strings.Join(out, "\n")
	}
	was := state()
	set := b.backup(t)
	stored, _ := b.find(t, set.ID)
	plan, err := restore.Make(t.Context(), b.target(), stored, restore.Options{}, time.Now())
	if err != nil || !strings.Contains(fmt.Sprint(plan.Warnings), "slot debezium stays with the old database") {
		t.Errorf("the plan says nothing of the slot: %v, %v", plan.Warnings, err)
	}
	b.mustRestore(t, set.ID, restore.Options{})
	if now := state(); now != was {
		t.Errorf("after a restore:\n%s\nit was:\n%s", now, was)
	}
	if _, err := b.undo(t); err != nil {
		t.Fatal(err)
	}
	if now := state(); now != was {
		t.Errorf("after its undoing:\n%s\nit was:\n%s", now, was)
	}
	left := b.leftovers(t)
	if err := b.clean(t.Context(), left); err != nil || len(left) != 2 {
		t.Errorf("%v: %v", left, err)
	}
}
