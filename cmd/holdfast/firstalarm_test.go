package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/splicetest"
)

const noticesPage page = "notices.md"

// fresh is a machine on which Holdfast is not installed yet: sudo and systemctl do
// here what they do there, in directories of the test.
type fresh struct {
	*testing.T
	bench
	dir  string // everything
	env  []string
	hook *hook
	said strings.Builder // the transcript
}

// standIns are the programs of a machine that a test must not touch: sudo installs
// elsewhere, and systemctl starts the unit as systemd does.
var standIns = map[string]string{
	"sudo": `case "$*" in
"install "*) exec install -m 755 "$PROGRAM" "$MACHINE/bin/" ;;
"holdfast service install") exec holdfast service install --unit-dir "$MACHINE/system" ;;
*) exec "$@" ;;
esac`,
	"systemctl": `[ "$1" = restart ] || exit 0
unit=$MACHINE/system/$2
said() { sed -n "s/^$1=//p" "$unit"; }
cd "$(said WorkingDirectory)"
export STATE_DIRECTORY="$MACHINE/state" CACHE_DIRECTORY="$MACHINE/cache"
$(said ExecStart) </dev/null >"$MACHINE/log" 2>&1 &
echo $! >"$MACHINE/pid"`,
}

func newFresh(t *testing.T) *fresh {
	t.Helper()
	f := &fresh{T: t, dir: t.TempDir(), hook: newHook()}
	t.Cleanup(f.hook.server.Close)
	f.must(f.start("fresh", false))
	t.Cleanup(f.close)
	program, err := exec.LookPath("holdfast")
	f.must(err)
	for _, sub := range []string{"bin", "stand-ins", "system", "state", "cache", "holdfast", "holdfast/bin"} {
		f.must(os.MkdirAll(f.path(sub), 0o700))
	}
	for name, script := range standIns {
		f.must(os.WriteFile(f.path("stand-ins/"+name), []byte("#!/bin/sh\nset -eu\n"+script+"\n"), 0o700)) //nolint:gosec // run
	}
	f.env = append(os.Environ(), "MACHINE="+f.dir, "PROGRAM="+program, impatientEnv+"=1",
		"PAGER_URL="+f.hook.server.URL+"/pager", "HOME="+f.dir,
		"PATH="+f.path("stand-ins")+":"+f.path("bin")+":/usr/sbin:/usr/bin:/sbin:/bin")
	// The page's own configuration, with the addresses that it speaks of.
	_, settings, _ := strings.Cut(noticesPage.text(t), "```yaml\n")
	settings, _, _ = strings.Cut(settings, "```\n")
	settings = strings.NewReplacer("/etc/holdfast", f.path("holdfast"), "patience: 10m", "patience: 1s").Replace(settings)
	f.write("holdfast/alarms.yaml", settings)
	f.write("holdfast/ops.url", f.hook.server.URL+"/ops")
	f.write("holdfast/heartbeat.url", f.hook.server.URL+"/beat")
	t.Cleanup(func() {
		f.stop()
		log, _ := os.ReadFile(f.path("log"))
		for line := range strings.Lines(string(log)) {
			if t.Failed() && (strings.Contains(line, "msg=daemon.") || strings.Contains(line, "msg=notice.")) {
				t.Log(line)
			}
		}
	})
	return f
}

func (f *fresh) path(name string) string { return filepath.Join(f.dir, name) }

func (f *fresh) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f *fresh) write(name, text string) {
	f.Helper()
	f.must(os.WriteFile(f.path(name), []byte(text), 0o600))
}

// stop stops the service and waits for its end.
func (f *fresh) stop() {
	text, err := os.ReadFile(f.path("pid"))
	pid, wrong := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || wrong != nil {
		return
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	for range 600 {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// types runs a line as an operator types it, and notes what it prints.
func (f *fresh) types(line string) {
	f.Helper()
	there, here := f.names()
	var pairs []string
	for i := range there {
		pairs = append(pairs, there[i], here[i])
	}
	cmd := exec.CommandContext(f.Context(), "sh", "-euc", strings.NewReplacer(pairs...).Replace(line))
	cmd.Dir, cmd.Env = f.path("holdfast"), f.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.Fatalf("%s: %v\n%s", line, err, out)
	}
	fmt.Fprintf(&f.said, "$ %s\n%s", line, f.asThere(string(out)))
}

// names are what an operator's machine and the test's call the same things.
func (f *fresh) names() (there, here []string) {
	const server = "host=/var/run/postgresql user=holdfast dbname="
	for _, pair := range [][2]string{
		{"'" + server + "validator'", "'" + f.dsn["validator"] + "'"},
		{"'" + server + "participant-4'", "'" + f.dsn["participant"] + "'"},
		{"http://wallet.localhost", f.app.URL()},
		{"https://validator.example.com", splicetest.DefaultAudience},
		{"/etc/systemd/system", f.path("system")},
		{"/etc/holdfast", f.path("holdfast")},
	} {
		there, here = append(there, pair[0]), append(here, pair[1])
	}
	return there, here
}

// asThere is a text as an operator's machine has it.
func (f *fresh) asThere(text string) string {
	there, here := f.names()
	for i := range here {
		text = strings.ReplaceAll(text, strings.Trim(here[i], "'"), strings.Trim(there[i], "'"))
	}
	for component, there := range map[string]string{"validator": "validator", "participant": "participant-4"} {
		text = strings.ReplaceAll(text, databaseOf(f.dsn[component]), there)
	}
	return regexp.MustCompile(` +\n`).ReplaceAllString(text, "\n")
}

// logs waits until the service has logged that.
func (f *fresh) logs(words string) {
	f.Helper()
	var log []byte
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if log, _ = os.ReadFile(f.path("log")); strings.Contains(string(log), words) {
			return
		}
	}
	f.Fatalf("the service did not log %q:\n%s", words, log)
}

// hears waits for a message at the web hook, and notes it as a block of the page.
func (f *fresh) hears(title string) {
	f.Helper()
	text := f.hook.waits(f.T, regexp.MustCompile(`^/ops .*`+regexp.QuoteMeta(title)))
	var m struct{ Title, Message string }
	f.must(json.Unmarshal([]byte(strings.TrimPrefix(text, "/ops ")), &m))
	fmt.Fprintf(&f.said, "```\n\nThe web hook gets this title and message:\n\n```text\n%s\n\n%s\n```\n", f.asThere(m.Title),
		strings.TrimSpace(f.asThere(m.Message)))
}

// From a fresh machine to the first alarm, as the page has it: installed, set up,
// started as a service, a set taken, and then the repository's disk goes away. That
// it is back is said as well.
func TestTheTranscriptOfTheFirstAlarm(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	f := newFresh(t)
	began := time.Now()
	f.said.WriteString("```console\n")
	f.types("sudo install -m 755 bin/holdfast /usr/local/bin/")
	f.types(`holdfast init --node demo --repository repository --recovery-key-file recovery.key \
    --database validator='host=/var/run/postgresql user=holdfast dbname=validator' \
    --database participant='host=/var/run/postgresql user=holdfast dbname=participant-4' \
    --identities-url http://wallet.localhost --auth unsafe --audience https://validator.example.com`)
	f.types("cat alarms.yaml >>holdfast.yaml")
	f.types("holdfast notify test ops")
	f.types("sudo holdfast service install")
	f.logs("backup is done")
	f.logs("notice to ops: demo: ") // what the first check finds is not to come with the alarm
	f.types("holdfast list")
	f.types("mv repository elsewhere")
	f.hears("demo: problem: the repository cannot be read")
	noticesPage.keep(t, "alarm", f.said.String(), alike)
	f.must(os.Rename(f.path("holdfast/elsewhere"), f.path("holdfast/repository")))
	f.hook.waits(t, regexp.MustCompile("^/ops .*RECOVERED: the repository cannot be read.*It lasted less than a minute"))
	t.Logf("it took %v", time.Since(began))
	if beats := f.hook.count(regexp.MustCompile("^/beat ")); beats == 0 {
		t.Error("the heartbeat was not pinged")
	}
}
