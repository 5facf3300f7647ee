package bundle

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/identities"
	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/imitation"
)

func TestMain(m *testing.M) { Main(m) }

// must is a value that comes without an error.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually waits for something that takes a moment.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// One bundle, from its start to its loss: what an operator's machine has.
func TestABundleFromItsStartToItsLoss(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	began := time.Now()
	b := Up(t, Options{Project: DefaultProject, Migration: "4"})
	t.Log("up after", time.Since(began).Round(100*time.Millisecond))

	id := must(b.Identity(ctx))(t)
	if !strings.HasPrefix(id, "demo-validator-1::1220") {
		t.Fatalf("the participant is %q", id)
	}
	env := must(b.Docker(ctx, "inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}",
		"splice-validator-participant-1"))(t)
	if !strings.Contains(env, "CANTON_PARTICIPANT_POSTGRES_DB=participant-4\n") {
		t.Errorf("the participant's environment is\n%s", env)
	}
	check(t, b.StartLoad(ctx, 100))
	eventually(t, "60 updates", func() bool { end, _, err := b.Progress(ctx); return err == nil && end > 60 })
	check(t, b.StopLoad(ctx))

	dump := must(identities.Parse(must(b.Dump(ctx))(t)))(t)
	if report := dump.ID; report != "PAR::"+id {
		t.Errorf("the dump is of %s", report)
	}

	before := must(b.Fingerprints(ctx))(t)
	check(t, b.Down(ctx))
	check(t, b.Start(ctx))
	if now := must(b.Identity(ctx))(t); now != id {
		t.Errorf("started again, the participant is %s and was %s", now, id)
	}
	if differ := Differences(before, must(b.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Errorf("stopping and starting changed %s", differ)
	}

	check(t, b.Wreck(ctx, HalfTableLost))
	if differ := Differences(before, must(b.Fingerprints(ctx))(t)); len(differ) != 1 ||
		!strings.Contains(differ[0], "lapi_events_activate_contract") {
		t.Errorf("half of one table was lost, and what differs is %s", differ)
	}
	check(t, b.Ready(ctx))

	// The danger: another -m is another database, empty, and soon another node.
	check(t, b.Wreck(ctx, WrongMigration))
	if now := must(b.Identity(ctx))(t); now == id || now == "" {
		t.Errorf("with the wrong -m the participant is %q", now)
	}
	eventually(t, "the app refuses the stranger", func() bool {
		return strings.Contains(b.Logs(ctx, "validator"), "the stores belong to participant "+id)
	})
}

// What the documented procedure does: the database alone, without what start.sh
// exports. Its entrypoint cannot make a database without a name, and the
// container is started again and again.
func TestTheDatabaseAloneRestartsForEver(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := Unpack(t, Options{})
	_, _ = b.Compose(ctx, "up", "-d", "postgres-splice")
	eventually(t, "it has been restarted twice", func() bool {
		count, err := b.Docker(ctx, "inspect", "-f", "{{.RestartCount}}", b.Container("postgres-splice"))
		return err == nil && strings.TrimSpace(count) >= "2"
	})
	if said := b.Logs(ctx, "postgres-splice"); !strings.Contains(said, "zero-length delimited identifier") {
		t.Errorf("it said\n%s", said)
	}
}

// A node that is re-onboarded: new identifier, old namespace, from the dump.
func TestANodeIsReonboardedFromItsIdentities(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	old := identitiestest.New("demo-validator-1", [32]byte{1, 2, 3},
		identitiestest.Options{Version: splicetest.SpliceVersion})
	file := filepath.Join(t.TempDir(), "identities.json")
	check(t, os.WriteFile(file, old.JSON, 0o600))
	check(t, reachable(filepath.Dir(file)))

	b := Unpack(t, Options{Identifier: "demo-validator-1-again"})
	flags := b.Flags("-i", file)
	if err := b.Script(ctx, "start.sh", append(flags, "-P", "")...); err == nil ||
		!strings.Contains(err.Error(), "new participant identifier") {
		t.Errorf("-i without -P: %v", err)
	}
	check(t, b.Script(ctx, "start.sh", flags...))
	namespace := strings.TrimPrefix(old.ParticipantID, "demo-validator-1::")
	if id := must(b.Identity(ctx))(t); id != "demo-validator-1-again::"+namespace {
		t.Errorf("the participant has become %s", id)
	}
	dump := must(identities.Parse(must(b.Dump(ctx))(t)))(t)
	if dump.Namespace() != namespace || len(dump.Keys) != len(old.Keys) {
		t.Errorf("its dump has namespace %s and %d keys", dump.Namespace(), len(dump.Keys))
	}
	if owner := must(exec.Command("stat", "-c", "%u", file).Output())(t); string(owner) != "1001\n" {
		t.Errorf("the dump's owner on the host is %s", owner)
	}
}

// A bundle whose databases are elsewhere and whose tokens come from an issuer.
func TestABundleWithAnExternalDatabaseAndAnIssuer(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	issuer, settings := Issuer(t)
	for name, value := range ExternalPostgres(t, "participant") {
		settings[name] = value
	}
	b := Up(t, Options{Settings: settings, Flags: []string{"-a"}})
	if id := must(b.Identity(ctx))(t); id == "" {
		t.Error("the participant has no identity")
	}
	if n := must(b.SQL(ctx, "participant", "select count(*) from participant.common_node_id"))(t); n != "1" {
		t.Errorf("%s identities in the external database", n)
	}
	if _, err := b.Dump(ctx); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("with a token that anybody can make: %v", err)
	}
	if issuer.ClientID == "" {
		t.Error("the issuer has no client")
	}
}

func TestLocalNetHasThreeNodesInTwoContainers(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	UpLocalNet(t)
	for node, prefix := range LocalNetNodes {
		id := must(imitation.Identity(ctx, fmt.Sprintf("127.0.0.1:%d902", prefix)))(t)
		if !strings.HasPrefix(id, node+"-localnet-1::1220") {
			t.Errorf("%s is %q", node, id)
		}
	}
}

// What the daemon does not hear after the cable is cut did not happen.
func TestACableIsCutAtARequest(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	cable := NewCable(t)
	b := Unpack(t, Options{DockerHost: cable.Host})
	cable.CutAt("/volumes/create")
	if _, err := b.Docker(ctx, "volume", "create", "--label", "com.docker.compose.project="+b.Project,
		b.Project+"_x"); err == nil || !cable.WasCut() {
		t.Errorf("a volume was created through a cut cable: %v", err)
	}
	cable.Mend()
	if out := must(b.Docker(ctx, "volume", "ls", "-q"))(t); strings.Contains(out, b.Project+"_x") {
		t.Errorf("the daemon knows it: %s", out)
	}
}

// What may go wrong with a machine while something works on its node.
func TestFaultsOfAMachine(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	b := Up(t, Options{Disk: 400 << 20, Stubborn: "participant"})

	relieve := must(b.FillDisk(ctx, 1<<20))(t)
	_, err := b.SQL(ctx, ValidatorDatabase,
		"create table public.ballast as select repeat('x', 1000) from generate_series(1, 20000)")
	if err == nil || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("on a full disk: %v", err)
	}
	check(t, relieve())
	must(b.SQL(ctx, ValidatorDatabase,
		"create table public.ballast as select repeat('x', 1000) from generate_series(1, 20000)"))(t)

	must(b.Docker(ctx, "stop", "-t", "1", b.Container("participant")))(t)
	if code := must(b.Docker(ctx, "inspect", "-f", "{{.State.ExitCode}}",
		b.Container("participant")))(t); code != "137\n" {
		t.Errorf("the stubborn participant ended with %s, and not killed", code)
	}

	check(t, b.BreakPostgres(ctx))
	must(b.Docker(ctx, "restart", b.Container("postgres-splice")))(t)
	eventually(t, "Postgres does not start", func() bool {
		return strings.Contains(b.Logs(ctx, "postgres-splice"), `could not access file "gone"`)
	})
	check(t, b.MendPostgres(ctx))
	check(t, b.Resume(ctx, "postgres-splice"))
}
