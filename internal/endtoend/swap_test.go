package endtoend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/restore"
	"holdfast/step"
)

// when is a listener that calls fn at the first step of an act that begins.
func when(act step.Act, fn func()) event.Listener {
	called := false
	return func(e event.Event) {
		if began, ok := e.(step.Began); ok && began.Step.Act == act && !called {
			called = true
			fn()
		}
	}
}

// apply makes a plan and walks it, and listens.
func (p *parts) apply(t testing.TB, id holdfast.SetID, events event.Listener) (restore.Plan, restore.Report, error) {
	t.Helper()
	set, files := p.find(t, id)
	plan, err := restore.Make(t.Context(), p.target(), set, restore.Options{}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	report, err := restore.Apply(t.Context(), p.target(), plan, set, files, events)
	return plan, report, err
}

// swapped makes sure that a restore went on with what an earlier one had built.
func swapped(t testing.TB, plan restore.Plan, report restore.Report, err error) {
	t.Helper()
	if err != nil || !report.Swapped {
		t.Fatalf("the next restore: %v, %+v", err, report)
	}
	for _, d := range report.Done {
		if !d.Reused || d.Rows == 0 {
			t.Errorf("%s was built again: %+v, planned %v", d.Component, d, plan.Steps)
		}
	}
}

// What may happen between the first database that is built and the swap, on one
// node.
func TestBuildingAndSwapping(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{Settings: map[string]string{"max_prepared_transactions": "3"}})
	set := b.backup(t)
	for _, c := range []struct {
		name string
		run  func(*testing.T, *bed, holdfast.Set)
	}{
		{"strangers", strangersStayOut}, {"refused", noWorkIsLost}, {"killed", noProvenDatabaseIsLost},
		{"spelled in two ways", twoSpellingsAreOneSwap}, {"a lost lock", aLostLockIsNoticed},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, b, set) })
	}
}

// A monitoring agent finds new databases by itself and stays in each. It does not
// get into one that is being built; a superuser does, and is ended in it. So for
// a superuser that restores. An owner who may create databases cannot end a
// superuser's session, and Postgres knows no way to keep it out.
func strangersStayOut(t *testing.T, b *bed, set holdfast.Set) {
	for _, sql := range []string{`CREATE ROLE agent LOGIN`, `GRANT pg_monitor TO agent`} {
		execute(t, b.Participant.DSN("postgres"), sql)
	}
	for _, owner := range []string{"SUPERUSER", "NOSUPERUSER CREATEDB"} {
		t.Run(owner, func(t *testing.T) {
			execute(t, b.Participant.DSN("postgres"), "ALTER ROLE cnadmin "+owner)
			ctx, cancel := context.WithCancel(t.Context())
			agents := map[string]chan int{"agent": make(chan int)}
			if owner == "SUPERUSER" {
				agents["postgres"] = make(chan int)
			}
			for role, ended := range agents {
				go func() { ended <- lurk(ctx, b, role) }()
			}
			before := b.numbers(t)
			_, report, err := b.apply(t, set.ID, nil)
			cancel()
			if err != nil || !report.Swapped || b.numbers(t) == before {
				t.Errorf("the restore ends with %v", err)
			}
			if n := <-agents["agent"]; n > 0 {
				t.Errorf("an agent was in %d databases that were being built", n)
			}
			if owner == "SUPERUSER" {
				t.Logf("a superuser was in %d", <-agents["postgres"])
			}
			acl := `SELECT coalesce(array_to_string(datacl, ' '), '-') FROM pg_database WHERE datname = $1`
			for _, name := range []string{splicetest.ParticipantDatabase, splicetest.ValidatorDatabase} {
				if got := query[string](t, b.Participant.DSN("postgres"), acl, name); got != "-" &&
					!strings.Contains(got, "=Tc/cnadmin") {
					t.Errorf("who may connect to %s: %s", name, got)
				}
			}
			connectAs(t, b, "agent")() // now that it has its place
			if err := b.clean(t.Context(), b.leftovers(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

func connectAs(t testing.TB, b *bed, role string) (hangUp func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), b.Participant.DSNAs(role, splicetest.ValidatorDatabase))
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = conn.Close(context.Background()) }
}

// lurk connects to every new database as soon as it sees one, and stays. It
// returns in how many it was.
func lurk(ctx context.Context, b *bed, role string) int {
	seen := map[string]*pgx.Conn{}
	defer func() {
		for _, conn := range seen {
			_ = conn.Close(context.Background())
		}
	}()
	eye, err := pgx.Connect(context.Background(), b.Participant.DSNAs(role, "postgres"))
	if err != nil {
		return -1
	}
	defer func() { _ = eye.Close(context.Background()) }()
	for ctx.Err() == nil {
		rows, _ := eye.Query(context.Background(), `SELECT datname::text FROM pg_database WHERE datname LIKE '%~new~%'`)
		names, _ := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, name := range names {
			if seen[name] != nil {
				continue
			}
			if conn, err := pgx.Connect(context.Background(), b.Participant.DSNAs(role, name)); err == nil {
				seen[name] = conn
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return len(seen)
}

// kept are the names of the databases that were built and have no place.
func (p *parts) kept(t testing.TB) []string {
	return slices.DeleteFunc(p.leftovers(t), func(name string) bool { return !strings.Contains(name, "~new~") })
}

// Whatever refuses the swap at the last moment, what was built and proven is
// kept, nobody can change it, and the next restore goes on at the swap. Whoever
// changes it all the same has it built again.
func noWorkIsLost(t *testing.T, b *bed, set holdfast.Set) {
	end := b.ledgerEnd(t)
	b.grow(t)

	_, _, err := b.apply(t, set.ID, when(step.Build, func() {
		execute(t, b.ValidatorDSN(), `BEGIN; CREATE TABLE public.half (x int); PREPARE TRANSACTION 'left-over'`)
	}))
	says(t, err, holdfast.Refused, "nothing was changed", "prepared transaction left-over")
	if _, do := holdfast.Advice(err); !strings.Contains(do, "ROLLBACK PREPARED 'left-over';") {
		t.Errorf("the way on is %q", do)
	}
	left := b.kept(t)
	if len(left) != 2 {
		t.Fatalf("kept are %v", b.leftovers(t))
	}
	for _, role := range []string{"postgres", "cnadmin"} {
		if conn, err := pgx.Connect(t.Context(), b.Participant.DSNAs(role, left[0])); err == nil {
			_ = conn.Close(t.Context())
			t.Errorf("%s gets into %s", role, left[0])
		}
	}
	// As long as it is in the way nothing is built, and nothing lost.
	plan, _, err := b.apply(t, set.ID, nil)
	says(t, err, holdfast.Refused, "prepared transaction left-over")
	if plan.Steps[0].Act != step.Reuse || !slices.Equal(b.kept(t), left) {
		t.Errorf("planned is %v; left are %v", plan.Steps, b.leftovers(t))
	}
	execute(t, b.ValidatorDSN(), `ROLLBACK PREPARED 'left-over'`)
	plan, report, err := b.apply(t, set.ID, nil)
	swapped(t, plan, report, err)
	if b.ledgerEnd(t) != end {
		t.Error("what was reused is not the set")
	}

	// A session in the live database, and somebody who opens what was kept.
	var hangUp func()
	if _, _, err = b.apply(t, set.ID, when(step.Rename, func() { hangUp = connect(t, b.ValidatorDSN()) })); err == nil {
		t.Fatal("the swap was not refused")
	}
	hangUp()
	at := slices.IndexFunc(b.kept(t), func(name string) bool { return strings.HasPrefix(name, "validator~") })
	changed := b.kept(t)[at]
	execute(t, b.Participant.DSN("postgres"), fmt.Sprintf(`ALTER DATABASE %q ALLOW_CONNECTIONS true`, changed))
	execute(t, b.Participant.DSN(changed), `CREATE TABLE public.changed (n int)`)
	execute(t, b.Participant.DSN("postgres"), fmt.Sprintf(`ALTER DATABASE %q ALLOW_CONNECTIONS false`, changed))
	_, report, err = b.apply(t, set.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range report.Done {
		if d.Reused != (d.Component == "participant") {
			t.Errorf("%s was reused: %v", d.Component, d.Reused)
		}
	}
	if query[bool](t, b.ValidatorDSN(), `SELECT to_regclass('public.changed') IS NOT NULL`) {
		t.Error("a changed database was swapped in")
	}
}

// A restore killed at the swap, or in the middle of the second database, leaves
// what was proven to the next one.
func noProvenDatabaseIsLost(t *testing.T, b *bed, set holdfast.Set) {
	for act, reused := range map[step.Act]int{step.Rename: 2, step.Build: 1} {
		e := b.task("restore")
		e.Set, e.KillAt = set.ID, act
		if out := start(t, e).Wait(); out == nil {
			t.Fatal("it was not killed")
		}
		_, report, err := b.apply(t, set.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, d := range report.Done {
			if d.Reused {
				n++
			}
		}
		if n != reused {
			t.Errorf("killed at %s, %d databases were reused, want %d", act, n, reused)
		}
	}
}

// A lock whose session the server has ended is taken again before the swap. If
// somebody else has it by then, nothing is swapped, and what was built is kept.
func aLostLockIsNoticed(t *testing.T, b *bed, set holdfast.Set) {
	const end = `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted`
	lost := 0
	ended := when(step.Build, func() { execute(t, b.Participant.DSN("postgres"), end) })
	_, report, err := b.apply(t, set.ID, func(e event.Event) {
		ended(e)
		if _, ok := e.(restore.LockLost); ok {
			lost++
		}
	})
	if err != nil || !report.Swapped || lost != 1 {
		t.Fatalf("the lock was lost %d times, and the restore ends with %v", lost, err)
	}

	before := b.numbers(t)
	var release func()
	plan, _, err := b.apply(t, set.ID, when(step.Build, func() {
		execute(t, b.Participant.DSN("postgres"), end)
		for range 100 { // until the server has ended it
			if _, release, err = b.parts.Node.Lock(t.Context(), 0); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("the lock is not to be had: %v", err)
	}))
	says(t, err, holdfast.Busy, "")
	if b.numbers(t) != before || len(b.kept(t)) != len(plan.Databases) {
		t.Errorf("kept are %v", b.leftovers(t))
	}
	release()
	plan, report, err = b.apply(t, set.ID, nil)
	swapped(t, plan, report, err)
}

// Databases of two servers are swapped in two steps. Broken off in between, the
// pair cannot be used or backed up, from no machine; the next restore finishes
// the swap without building anything; and an undo takes back both halves.
func TestASwapOfTwoServersThatIsBrokenOff(t *testing.T) {
	b := newBed(t, splicetest.NodeOptions{TwoInstances: true})
	set := b.backup(t)
	was := b.ledgerEnd(t)
	b.grow(t)
	grown := b.ledgerEnd(t)
	e := b.task("restore")
	e.Set, e.KillAt = set.ID, step.Rename
	if out := start(t, e).Wait(); out == nil {
		t.Fatal("it was not killed")
	}
	if _, err := b.job().Run(t.Context()); err == nil {
		t.Error("half a swap was backed up")
	} else {
		t.Logf("a backup says: %v", err)
	}
	if halves, err := b.parts.Node.Halves(t.Context()); err != nil || len(halves) != 1 || halves[0].Set != set.ID {
		t.Errorf("half in place are %+v, %v", halves, err)
	}
	plan, report, err := b.apply(t, set.ID, nil)
	swapped(t, plan, report, err)
	if halves, err := b.parts.Node.Halves(t.Context()); err != nil || len(halves) != 0 {
		t.Errorf("half in place are %+v, %v", halves, err)
	}
	if got := b.ledgerEnd(t); got != was {
		t.Errorf("the ledger ends at %d, want %d", got, was)
	}
	b.backup(t)
	if _, err := b.undo(t); err != nil {
		t.Fatal(err)
	}
	if got := b.ledgerEnd(t); got != grown {
		t.Errorf("undone, the ledger ends at %d, want %d", got, grown)
	}
	b.backup(t)
	for _, server := range []*splicetest.Server{b.Participant, b.Validator} {
		if n := query[int](t, server.DSN("postgres"), `SELECT count(*) FROM pg_database WHERE NOT datallowconn
			AND datname <> 'template0'`); n != 0 {
			t.Errorf("%d databases stay closed", n)
		}
	}
	if _, err := b.undo(t); holdfast.ClassOf(err) != holdfast.Refused {
		t.Errorf("half of a restore is left to undo: %v", err)
	}
}

// However they are spelled, two connection strings that lead to one server are
// one batch.
func twoSpellingsAreOneSwap(t *testing.T, b *bed, set holdfast.Set) {
	other, err := libpq.Parse(b.ValidatorDSN() + "&connect_timeout=7")
	if err != nil {
		t.Fatal(err)
	}
	b.parts.Node.Addresses["validator"] = libpq.Address{Conninfo: other}
	plan, _, err := b.apply(t, set.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	if last := plan.Steps[len(plan.Steps)-1]; last.Act != step.Rename || len(last.Moves) != 4 {
		t.Errorf("the swap is %v", plan.Steps)
	}
	undo, err := restore.MakeUndo(t.Context(), b.target(), b.place(), restore.UndoOptions{}, time.Now())
	if err != nil || len(undo.Steps) != 1 {
		t.Errorf("the undo is %v, %v", undo.Steps, err)
	}
}
