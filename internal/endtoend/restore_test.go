package endtoend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/restore"
)

// listed lists a server's databases with their numbers, which a rename
// keeps and nothing else has.
func listed(t testing.TB, s *splicetest.Server) []string {
	t.Helper()
	text := query[string](t, s.DSN("postgres"),
		`SELECT string_agg(datname || ' ' || oid, ',' ORDER BY datname) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'`)
	return strings.Split(text, ",")
}

// grow lets the node live for a while, so that it has what its sets have not.
func (b *bed) grow(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer cancel()
	if err := b.Run(ctx, splicetest.Load{Rate: 200, IngestDelay: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
}

func (b *bed) ledgerEnd(t testing.TB) int64 {
	t.Helper()
	end, err := b.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// The whole way there and back, on one server and on two.
func TestSwapUndoAndClean(t *testing.T) {
	for name, two := range map[string]bool{"one instance": false, "two instances": true} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t, splicetest.NodeOptions{TwoInstances: two})
			set := b.backup(t)
			was := b.ledgerEnd(t)
			b.grow(t)
			grown := b.ledgerEnd(t)
			if grown <= was {
				t.Fatal("the node did not grow")
			}
			before := [2][]string{listed(t, b.Participant), listed(t, b.Validator)}

			report := b.mustRestore(t, set.ID, restore.Options{OnlyProve: true})
			if report.Swapped || len(report.Done) != 2 || report.Done[0].Rows == 0 {
				t.Errorf("the rehearsal reports %+v", report)
			}
			if now := [2][]string{listed(t, b.Participant),
				listed(t, b.Validator)}; !slices.Equal(now[0], before[0]) || !slices.Equal(now[1], before[1]) {
				t.Errorf("the rehearsal left %v of %v", now, before)
			}

			report = b.mustRestore(t, set.ID, restore.Options{})
			if !report.Swapped || b.ledgerEnd(t) != was {
				t.Errorf("after the restore the ledger ends at %d, want %d; %+v", b.ledgerEnd(t), was, report)
			}
			left := b.leftovers(t)
			if len(left) != 2 || !contains(left, "participant-4~before~"+string(set.ID)) ||
				!contains(left, "validator~before~"+string(set.ID)) {
				t.Errorf("left are %v", left)
			}
			for _, d := range report.Done {
				if !slices.Contains(left, d.Previous) {
					t.Errorf("%s is said to be kept as %s; there are %v", d.Component, d.Previous, left)
				}
			}
			if comment := query[*string](t, b.ParticipantDSN(),
				`SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()`); comment != nil {
				t.Errorf("the live database is labelled %s", *comment)
			}

			moves, err := b.undo(t)
			if err != nil {
				t.Fatal(err)
			}
			if len(moves) != 4 || b.ledgerEnd(t) != grown {
				t.Errorf("after the undo the ledger ends at %d, want %d; moves %v", b.ledgerEnd(t), grown, moves)
			}
			_, err = b.undo(t)
			says(t, err, holdfast.Refused, "nothing to undo")

			// The same set once more, and undone once more: no name stands in the way.
			// The second comes from a machine whose clock is a year behind.
			b.mustRestore(t, set.ID, restore.Options{})
			stored, files := b.find(t, set.ID)
			plan, err := restore.Make(t.Context(), b.target(), stored, restore.Options{}, time.Now().AddDate(-1, 0, 0))
			if err == nil {
				_, err = restore.Apply(t.Context(), b.target(), plan, stored, files, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []int64{was, grown} {
				if _, err := b.undo(t); err != nil {
					t.Fatal(err)
				}
				if got := b.ledgerEnd(t); got != want {
					t.Errorf("the ledger ends at %d, want %d", got, want)
				}
			}

			live := listed(t, b.Participant)
			for _, names := range [][]string{{"participant-4"}, {"postgres"}, {"nowhere"},
				append(b.leftovers(t), "validator")} {
				says(t, b.clean(t.Context(), names), holdfast.Refused, "not a database or volume that a restore left")
			}
			if !slices.Equal(listed(t, b.Participant), live) {
				t.Error("a refused clean dropped something")
			}
			left = b.leftovers(t)
			hangUp := connect(t, b.Participant.DSN(left[0]))
			says(t, b.clean(t.Context(), left[:1]), holdfast.Refused, "in use by canton-participant")
			hangUp()
			if err := b.clean(t.Context(), left); err != nil {
				t.Fatal(err)
			}
			if left := b.leftovers(t); len(left) > 0 {
				t.Errorf("after the clean there are %v", left)
			}
			if b.ledgerEnd(t) != grown {
				t.Error("the clean touched the live node")
			}
			b.backup(t)
			undisturbed(t, b.ParticipantDSN(), b.ValidatorDSN())
		})
	}
}

func TestADatabaseInUseIsNotTouched(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{TwoInstances: true})
	set, files := b.find(t, b.backup(t).ID)
	before := [2][]string{listed(t, b.Participant), listed(t, b.Validator)}
	untouched := func(when string) {
		t.Helper()
		if now := [2][]string{listed(t, b.Participant), listed(t, b.Validator)}; !slices.Equal(now[0], before[0]) ||
			!slices.Equal(now[1], before[1]) {
			t.Errorf("%s there are %v, before there were %v", when, now, before)
		}
	}

	hangUp := connect(t, b.ParticipantDSN())
	plan, err := restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	_, err = restore.Apply(t.Context(), b.target(), plan, set, files, nil)
	says(t, err, holdfast.Refused, "in use", "canton-participant", "user cnadmin")
	untouched("after a refusal")
	b.mustRestore(t, set.ID, restore.Options{OnlyProve: true}) // a rehearsal next to the running node
	hangUp()

	// A client connects after the plan was made: to the database of the second
	// server that is swapped, when the first has been swapped already.
	for _, dsn := range []string{b.ParticipantDSN(), b.ValidatorDSN()} {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
			if plan, err = restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now()); err != nil {
				t.Fatal(err)
			}
			if len(plan.Databases[0].Obstacles)+len(plan.Databases[1].Obstacles) == 0 || time.Now().After(deadline) {
				break
			}
		}
		hangUp := connect(t, dsn)
		_, err = restore.Apply(t.Context(), b.target(), plan, set, files, nil)
		says(t, err, holdfast.Refused, "nothing was changed", "in use by canton-participant")
		hangUp()
		untouched("after a late refusal")
		if left := b.leftovers(t); len(left) > 0 {
			t.Errorf("left are %v", left)
		}
	}
	undisturbed(t, b.ParticipantDSN(), b.ValidatorDSN())
}

// The reason to restore is often that the live database is wrecked or gone.
func TestWreckedAndMissingDatabasesComeBack(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set := b.backup(t)
	end := b.ledgerEnd(t)

	execute(t, b.ParticipantDSN(), `DROP SCHEMA participant CASCADE`)
	b.mustRestore(t, set.ID, restore.Options{})
	if b.ledgerEnd(t) != end {
		t.Error("the wrecked database did not come back")
	}
	if err := b.clean(t.Context(), b.leftovers(t)); err != nil {
		t.Fatal(err)
	}

	execute(t, b.Participant.DSN("postgres"), `DROP DATABASE "participant-4"`)
	report := b.mustRestore(t, set.ID, restore.Options{})
	if b.ledgerEnd(t) != end || report.Done[1].Previous != "" {
		t.Errorf("the missing database did not come back: %+v", report)
	}
	b.backup(t)

	// Into a place where there was never anything: another server.
	elsewhere := splicetest.NewServer(t, "")
	b.parts.Node.Addresses = map[holdfast.ComponentName]libpq.Address{
		"participant": target(t, elsewhere.DSN("participant-4")), "validator": target(t, elsewhere.DSN("validator")),
	}
	plan, err := restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err == nil {
		err = plan.Blocked()
	}
	says(t, err, holdfast.Refused, "the owner of validator is missing")
	if _, do := holdfast.Advice(err); !strings.Contains(do, `CREATE ROLE "cnadmin"`) ||
		!strings.Contains(do, "--no-owner") {
		t.Errorf("the way on is %q", do)
	}
	b.noOwner = true
	plan, err = restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !contains(plan.Warnings, "connecting user") {
		t.Errorf("the owners are left out, and the plan does not say so: %v", plan.Warnings)
	}
	b.mustRestore(t, set.ID, restore.Options{})
	if got, err := splicetest.LedgerEnd(t.Context(), elsewhere.DSN("participant-4")); err != nil || got != end {
		t.Errorf("elsewhere the ledger ends at %d, %v", got, err)
	}
}

// The plan names what would be lost, and what may keep the node from catching
// up.
func TestThePlanNamesLossesAndWarnings(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set, _ := b.find(t, b.backup(t).ID)
	end := b.ledgerEnd(t)
	if err := b.Onboard(t.Context(), "carol"); err != nil {
		t.Fatal(err)
	}
	b.grow(t)
	execute(t, b.ParticipantDSN(), `INSERT INTO participant.common_crypto_private_keys (key_id, purpose, data, name)
		VALUES ('1220abcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcdefabcd', 0, '\x00', 'rotated-signing')`)
	execute(t, b.ParticipantDSN(),
		`UPDATE participant.par_synchronizer_connection_configs SET physical_synchronizer_id = replace(physical_synchronizer_id, '::35-5', '::35-6') WHERE status = 'A'`)

	plan, err := restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{fmt.Sprintf("(%d to ", end+1), "ledger API user carol", "wallet user carol",
		"rotated-signing"} {
		if !contains(plan.Losses, want) {
			t.Errorf("no loss says %q: %q", want, plan.Losses)
		}
	}
	if !contains(plan.Warnings, "had serial 5 then and has 6 now") {
		t.Errorf("the warnings are %q", plan.Warnings)
	}
	if plan.Set != set.ID || plan.Age <= 0 || plan.Databases[1].Bytes == 0 || plan.Databases[1].Now == nil {
		t.Errorf("the plan is %+v", plan)
	}
	plan, err = restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now().Add(40*24*time.Hour))
	if err != nil || !contains(plan.Warnings, "days old") {
		t.Errorf("40 days later the warnings are %q, %v", plan.Warnings, err)
	}
	plan, err = restore.Make(t.Context(), b.target(), set,
		restore.Options{Components: []holdfast.ComponentName{"participant"}}, time.Now())
	if err != nil || len(plan.Databases) != 1 || !contains(plan.Warnings, "no longer proven") {
		t.Errorf("one half of a pair: %q, %v", plan.Warnings, err)
	}
	_, err = restore.Make(t.Context(), b.target(), set,
		restore.Options{Components: []holdfast.ComponentName{"sequencer"}}, time.Now())
	if holdfast.ClassOf(err) != holdfast.Usage || !strings.Contains(err.Error(), "sequencer") {
		t.Errorf("a component that is not there: %v", err)
	}
}

// A database that does not prove equal is dropped, with those built before it,
// and the live ones stay.
func TestAFailureInTheSecondDatabaseDropsTheFirst(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set, stored := b.find(t, b.backup(t).ID)
	before := listed(t, b.Participant)
	plan, err := restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	changed := set
	changed.Captures = cloned(set.Captures)
	rows := changed.Captures[1].Content.(content.Rows)
	rows.Tables = slices.Clone(rows.Tables)
	for i, table := range rows.Tables {
		if table.Rows > 0 {
			rows.Tables[i].Digest = table.Digest.Plus(content.Digest{Lo: 1})
			break
		}
	}
	changed.Captures[1].Content = rows
	_, err = restore.Apply(t.Context(), b.target(), plan, changed, stored, nil)
	says(t, err, holdfast.NotProven, "nothing was changed", "came back different")
	if now := listed(t, b.Participant); !slices.Equal(now, before) {
		t.Errorf("there are %v, before there were %v", now, before)
	}
	undisturbed(t, b.ParticipantDSN())
}

// The plan names another node's database in the target of a set.
func TestRestoringOverAnotherNodeWarns(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set, _ := b.find(t, b.backup(t).ID)
	other := splicetest.NewNode(t, splicetest.NodeOptions{Hint: "somebody-else-1", Seed: [32]byte{7}})
	b.parts.Node.Addresses = map[holdfast.ComponentName]libpq.Address{
		"participant": target(t, other.ParticipantDSN()),
		"validator":   target(t, other.ValidatorDSN()),
	}
	plan, err := restore.Make(t.Context(), b.target(), set, restore.Options{}, time.Now())
	if err != nil || !contains(plan.Warnings, "another participant, somebody-else-1") {
		t.Errorf("the warnings are %q, %v", plan.Warnings, err)
	}
}

// A manifest that calls itself merely unproven does not get a contradiction
// past the flag.
func TestTheFlagForUnprovenSetsTakesNoOthers(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{})
	set := b.backup(t)
	set.Captures = cloned(set.Captures)
	set.Captures[1].Began.Since = 0
	set.State = holdfast.Unproven
	_, err := restore.Make(t.Context(), b.target(), set, restore.Options{Unproven: true}, time.Now())
	says(t, err, holdfast.Refused, "is misordered")
	set.Schema = holdfast.ManifestSchema + 1
	_, err = restore.Make(t.Context(), b.target(), set, restore.Options{Unproven: true}, time.Now())
	says(t, err, holdfast.Undetermined, "manifest version")
}

// cloned are captures of which a test may change what they say of their
// components.
func cloned(captures []holdfast.Capture) []holdfast.Capture {
	out := slices.Clone(captures)
	for i := range out {
		out[i].Components = slices.Clone(out[i].Components)
	}
	return out
}
