package setup

import (
	"context"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/config"
	"holdfast/internal/splicetest"
	"holdfast/record"
	"holdfast/repository"
)

// watched is the service of a node with real databases, whose Scans are asked.
func watched(t *testing.T, node *splicetest.Node, scans []string) *Service {
	t.Helper()
	t.Setenv("PASSWORD_OF_REPOSITORY", pagePassword)
	conf, err := config.Parse(filepath.Join(t.TempDir(), "n.yaml"), []byte(`
node: n
databases: {validator: '`+node.ValidatorDSN()+`', participant: '`+node.ParticipantDSN()+`'}
repository: {path: repository, password: env:PASSWORD_OF_REPOSITORY}
check: {scans: [`+strings.Join(scans, ", ")+`]}
`), nil)
	if err == nil {
		err = repository.Create(t.Context(), conf.Repository.Place, holdfast.NewSecret(pagePassword))
	}
	if err != nil {
		t.Fatal(err)
	}
	return Serve(conf, Options{})
}

// does has the service do one of its tasks, as its daemon does.
func (s *Service) does(t *testing.T, name string) {
	t.Helper()
	for _, task := range s.tasks() {
		if task.Name != name {
			continue
		}
		if err := task.Do(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if name == backupTask { // a daemon asks after each task that changes the repository
		if _, err := s.past(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// wants compares why a backup is wanted at that time.
func (s *Service) wants(t *testing.T, when string, now time.Time, want string) {
	t.Helper()
	if got := s.missingAt(now)[backupTask]; got != want {
		t.Errorf("%s: a backup is wanted because %q, want %q", when, got, want)
	}
}

// Whatever is new at a node and comes back by no replay makes the wish for a set,
// in its own words, once; what is replayed makes none.
func TestWhatIsNewIsBackedUpAtOnce(t *testing.T) {
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	network, err := node.StartNetwork(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	s := watched(t, node, network.URLs())
	s.does(t, watchTask)
	s.wants(t, "before the first set", time.Now(), "")
	s.does(t, backupTask)
	s.does(t, watchTask)
	s.wants(t, "nothing was written", time.Now(), "")

	sql := func(text string, args ...any) func(context.Context) error {
		return func(ctx context.Context) error {
			conn, err := pgx.Connect(ctx, node.ParticipantDSN())
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			_, err = conn.Exec(ctx, text, args...)
			return err
		}
	}
	end, err := node.LedgerEnd(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := strconv.FormatInt(end+1, 10)
	last := "" // what the wish is of: nothing newer, no other wish
	for _, c := range []struct {
		name string
		do   func(context.Context) error
		want string
	}{
		{"updates of the ledger", func(ctx context.Context) error {
			return splicetest.AppendUpdates(ctx, node.ParticipantDSN(), end, end+1)
		}, ""},
		{"a party", sql(`INSERT INTO participant.lapi_party_entries (ledger_offset, recorded_at, party, typ, is_local)
			VALUES (` + next + `, 1, 'bob::1220ab', 'accept', true)`), "participant: party bob::1220ab, hosted since"},
		{"a party of another participant", sql(`INSERT INTO participant.lapi_party_entries
			(ledger_offset, recorded_at, party, typ, is_local)
			VALUES (` + next + `, 1, 'eve::1220ab', 'accept', false)`), "participant: party bob::1220ab, hosted since"},
		{"a user of the ledger API", sql(`INSERT INTO participant.lapi_users (user_id, created_at) VALUES ('carol', 1)`),
			"participant: ledger API user carol, created since"},
		{"a key", sql(`INSERT INTO participant.common_crypto_private_keys (key_id, purpose, data, name)
			VALUES ('1220cdcdcdcdcdcdcdcd', 0, 'key', 'signing-2')`),
			"participant: private key 1220cdcdcdcdcdcd… (signing-2), created since; " +
				"whatever is signed with or encrypted to it needs it"},
		{"a package", sql(`INSERT INTO participant.par_dars VALUES ('ab12', 'dar', 'our-app-1.0.0', 'our-app', '1.0.0')`),
			"participant: package our-app 1.0.0, uploaded since"},
		{"an upgrade of the synchronizer", func(ctx context.Context) error {
			return node.CrossOver(ctx, node.ParticipantDSN(), 5)
		}, "participant: synchronizer serial 6, upgraded since"},
	} {
		if err := c.do(t.Context()); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		s.does(t, watchTask)
		if last = c.want; last != "" {
			last += ", and in no set"
		}
		s.wants(t, c.name, time.Now(), last)
	}
	// Somebody takes a set by hand, or another daemon does, before we look again: it
	// has the newest wallet user too.
	if err := node.Onboard(t.Context(), "dave"); err != nil {
		t.Fatal(err)
	}
	Serve(s.config(), Options{}).does(t, backupTask)
	s.does(t, watchTask)
	s.wants(t, "a set of somebody else has it all", time.Now(), "")

	later := time.Now().Add(4 * time.Hour).Truncate(time.Second)
	words := "the synchronizer is upgraded at " + later.UTC().Format(time.RFC3339)
	network.Announce(later)
	s.does(t, checkTask)
	s.wants(t, "hours before an upgrade", time.Now(), "")
	s.wants(t, "just before an upgrade", later.Add(-20*time.Minute), words)
	for _, scan := range network.Scans {
		scan.SetFault(splicetest.ScanUnavailable)
	}
	s.does(t, checkTask)
	s.wants(t, "the Scans are silent meanwhile", later.Add(-20*time.Minute), words)
	for _, scan := range network.Scans {
		scan.SetFault(splicetest.ScanHealthy)
	}
	network.Announce(time.Time{})
	s.does(t, checkTask)
	s.wants(t, "the upgrade was called off", later.Add(-20*time.Minute), "")
}

// A set is taken in the last half hour before an upgrade, once.
func TestASetBeforeAnUpgrade(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	const words = "the synchronizer is upgraded at 2026-11-26T12:00:00Z"
	for _, c := range []struct {
		now, taken time.Duration // before the upgrade
		want       string
	}{
		{31 * time.Minute, 3 * time.Hour, ""},
		{29 * time.Minute, 3 * time.Hour, words},
		{29 * time.Minute, 31 * time.Minute, words},
		{28 * time.Minute, 29 * time.Minute, ""}, // that one is of now
		{time.Second, 3 * time.Hour, words},
		{-time.Second, 3 * time.Hour, ""}, // it is over: watch sees the new serial
	} {
		s := &Service{upgrade: at}
		s.status.Stored.Entries = []repository.Entry{{Set: record.Set{Began: at.Add(-c.taken)}}}
		s.wants(t, c.now.String()+" before", at.Add(-c.now), c.want)
	}
}

// An upgrade of a program shows in its database, and is a reason for a set.
func TestUpgradesOfPrograms(t *testing.T) {
	facts := func(migrations string, id int64) holdfast.Facts {
		return holdfast.Facts{Migrations: migrations, Validator: &holdfast.SpliceFacts{MigrationID: id}}
	}
	for _, c := range []struct {
		then, now holdfast.Facts
		want      string
	}{
		{facts("64", 4), facts("64", 4), ""},
		{facts("64", 4), facts("65", 4), "validator: database schema 65, upgraded since"},
		{facts("64", 4), facts("64", 5), "validator: migration id 5, upgraded since"},
		{facts("", 4), facts("65", 4), ""}, // the set does not record it
		{holdfast.Facts{}, facts("65", 4), ""},
	} {
		part := holdfast.Part{Captured: holdfast.Captured{Component: "validator", Facts: c.then}}
		if got := strings.Join(upgrades(part, c.now), "; "); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// A set is wanted once for each new thing, until one was taken.
func TestWishes(t *testing.T) {
	at := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	var w wish
	for i, c := range []struct {
		found []string
		want  string
		from  int // the look that the wish is of
	}{
		{nil, "", 0},
		{[]string{"user alice"}, "user alice, and in no set", 1},
		{[]string{"user alice"}, "user alice, and in no set", 1}, // nothing was taken yet, and nothing is newer
		{[]string{"user alice", "user bob"}, "user bob, and in no set", 3},
		{nil, "user bob, and in no set", 3}, // a set from before does not serve it
	} {
		w = w.with(c.found, at.Add(time.Duration(i)*time.Minute))
		if w.why != c.want || w.why != "" && !w.at.Equal(at.Add(time.Duration(c.from)*time.Minute)) {
			t.Errorf("look %d: %q at %v", i, w.why, w.at)
		}
	}
}
