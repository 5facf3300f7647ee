package endtoend

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

// kills is how many processes TestRandomKills kills; 0 for 5, or 500 in the long
// form.
var kills = flag.Int("kills", 0, "how many processes to kill at random moments")

// butchered is a node whose commands are killed, two of them at work at a time.
type butchered struct {
	workshop
	server *splicetest.Server
	r      *rand.Rand
	took   map[string]time.Duration // by the command that came to its end
	pairs  map[string]string        // participant's and validator app's databases that belong together
}

// ruins are what is killed, and what works next to it.
var ruins = [][]string{
	{"backup", "--quiet"}, {"restore", "latest", "--yes"}, {"restore", "undo", "--yes"},
	{"retention", "--yes", "--force"}, {"retention", "--yes", "--force", "--maintenance", "full"},
	{"restore", "rehearse", "latest", "--yes"},
}

// Wherever processes are killed, two at work at a time: the node's databases are
// the old ones or the new ones, both of them; every set that is seen restores;
// and the commands go on as if nothing had happened.
func TestRandomKills(t *testing.T) {
	want := *kills
	if want == 0 {
		want = 5
		if splicetest.Long() {
			want = 500
		}
	}
	b := newButchered(t)
	killed := map[string]int{}
	done := 0
	for n := 0; done < want && b.hasTime(t); n++ {
		victim, other := b.pick(), b.pick()
		hit := b.round(t, victim, other, n%3 == 0)
		for _, command := range hit {
			killed[command]++
			done++
		}
		b.belongTogether(t, fmt.Sprintf("after round %d, in which %v were killed", n, hit))
		if n%10 == 9 {
			b.settle(t)
			t.Logf("%d killed", done)
		}
		if t.Failed() {
			t.Fatalf("after %d kills", done)
		}
	}
	b.settle(t)
	sets := b.sets(t)
	if !splicetest.Long() {
		sets = sets[len(sets)-1:]
	}
	for _, set := range sets {
		b.goes(t, "restore", "rehearse", set, "--yes")
	}
	t.Logf("killed %d of %d: %v; %d sets were restored", done, want, killed, len(sets))
}

// hasTime reports whether there is time for another round and for what comes after
// the last.
func (*butchered) hasTime(t *testing.T) bool {
	deadline, there := t.Deadline()
	return !there || time.Until(deadline) > 3*time.Minute
}

func newButchered(t *testing.T) *butchered {
	t.Helper()
	node := splicetest.NewNode(t, splicetest.NodeOptions{})
	app := splicetest.NewValidatorApp(t, node, splicetest.AppOptions{})
	b := &butchered{
		workshop: newWorkshop(t), server: node.Participant, r: seeded(t),
		took: map[string]time.Duration{}, pairs: map[string]string{},
	}
	b.does(t, "init", "--no-input", "--node", "demo", "--repository", "repository", "--recovery-key-file", "key",
		"--identities-url", app.URL(), "--auth", "unsafe", "--audience", splicetest.DefaultAudience,
		"--database", "validator="+b.server.DSN(splicetest.ValidatorDatabase),
		"--database", "participant="+b.server.DSN(splicetest.ParticipantDatabase))
	file := filepath.Join(b.dir, "holdfast.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		text = append(text, "\nretention: {last: 3, faulty: 1h}\ndump: {connections: 6, lanes: 1}\n"...)
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{ruins[0], ruins[1], ruins[2], ruins[4], ruins[5]} { // to know how long each takes
		began := time.Now()
		b.goes(t, command...)
		b.took[command[0]+command[1]] = time.Since(began)
	}
	b.belongTogether(t, "at first")
	return b
}

func (b *butchered) pick() []string { return ruins[b.r.IntN(len(ruins))] }

// running is a command at work.
type running struct {
	*exec.Cmd
	name string
	out  bytes.Buffer
}

func (b *butchered) start(t *testing.T, args []string) *running {
	t.Helper()
	r := &running{Cmd: exec.Command(b.program, args...), name: strings.Join(args, " ")} //nolint:noctx // it is killed
	r.Dir, r.Stdout, r.Stderr = b.dir, &r.out, &r.out
	if err := r.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// round has two commands at work, and kills the one, or both, somewhere on their
// way. It returns what it has killed.
func (b *butchered) round(t *testing.T, victim, other []string, both bool) (hit []string) {
	t.Helper()
	usual := b.took[victim[0]+victim[1]]
	if usual == 0 {
		usual = time.Second
	}
	one, two := b.start(t, victim), b.start(t, other)
	time.Sleep(time.Duration(b.r.Float64() * float64(usual) * 1.2))
	_ = one.Process.Kill()
	if both {
		time.Sleep(time.Duration(b.r.Float64() * float64(usual) / 2))
		_ = two.Process.Kill()
	}
	for _, r := range []*running{one, two} {
		_ = r.Wait()
		switch code := r.ProcessState.ExitCode(); {
		case code == -1:
			hit = append(hit, r.name)
		case !slices.Contains([]int{0, 6, 7}, code): // done, busy, refused
			t.Errorf("%s: exit code %d\n%s", r.name, code, &r.out)
		}
	}
	return hit
}

// belongTogether makes sure that the node's two databases are a pair: both the old
// ones, or both new.
func (b *butchered) belongTogether(t *testing.T, when string) {
	t.Helper()
	const oid = `SELECT coalesce((SELECT oid::text FROM pg_database WHERE datname = $1 AND datallowconn), 'none')`
	dsn := b.server.DSN("postgres")
	participant := query[string](t, dsn, oid, splicetest.ParticipantDatabase)
	validator := query[string](t, dsn, oid, splicetest.ValidatorDatabase)
	known, there := b.pairs[participant]
	if !there {
		for _, of := range b.pairs {
			if of == validator {
				t.Errorf("%s: database %s of the validator app has got another participant's", when, validator)
			}
		}
		b.pairs[participant] = validator
		known = validator
	}
	if known != validator || participant == "none" || validator == "none" {
		t.Errorf("%s: databases %s and %s do not belong together", when, participant, validator)
	}
}

// settle does what an operator does afterwards: undo what was broken off, drop what
// is left, and go on.
func (b *butchered) settle(t *testing.T) {
	t.Helper()
	b.awaitQuiet(t)
	if out, code := b.run("restore", "latest", "--yes"); code != 0 {
		if code != 7 || !strings.Contains(out, "holdfast restore undo") {
			t.Errorf("a restore after kills: exit code %d\n%s", code, out)
		}
		b.goes(t, "restore", "undo", "--yes")
		b.goes(t, "restore", "latest", "--yes")
	}
	b.belongTogether(t, "after settling")
	b.goes(t, "backup", "--quiet")
	var left struct{ Value []struct{ Name string } }
	b.reads(t, &left, "restore", "clean", "--output", "json")
	var names []string
	for _, l := range left.Value {
		names = append(names, l.Name)
	}
	if len(names) > 0 {
		b.goes(t, append([]string{"restore", "clean"}, names...)...)
	}
	b.goes(t, "retention", "--yes", "--force", "--wait", "1m")
	b.goes(t, "verify", "latest")
}

// awaitQuiet waits until the server has noticed that the killed are gone.
func (b *butchered) awaitQuiet(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if query[int](t, b.server.DSN("postgres"), `SELECT count(*) FROM pg_stat_activity
			WHERE application_name LIKE 'holdfast%'`) == 0 {
			return
		}
	}
	t.Error("sessions of killed commands do not end")
}

// goes runs a command that has to succeed.
func (b *butchered) goes(t *testing.T, args ...string) {
	t.Helper()
	if out, code := b.run(args...); code != 0 {
		t.Errorf("%v: exit code %d\n%s", args, code, out)
	}
}

// reads runs a command and reads what it prints as JSON.
func (b *butchered) reads(t *testing.T, into any, args ...string) {
	t.Helper()
	out, code := b.run(args...)
	if err := json.Unmarshal([]byte(out), into); err != nil || code != 0 {
		t.Errorf("%v: exit code %d, %v\n%s", args, code, err, out)
	}
}

// sets are the sets that are seen, each of which can be shown.
func (b *butchered) sets(t *testing.T) (ids []string) {
	t.Helper()
	var list struct{ Value []struct{ ID string } }
	b.reads(t, &list, "list", "--output", "json")
	for _, s := range list.Value {
		ids = append(ids, s.ID)
	}
	return ids
}
