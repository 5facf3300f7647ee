package endtoend

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
	"holdfast/internal/storetest"
)

// hourEnv is how long the hour of faults takes, such as 6m; an hour when empty.
const hourEnv = "HOLDFAST_TEST_HOUR"

// The times of the hour. An outage is longer than the time between two sets, so
// that each one leaves a gap.
const (
	outageLong = 75 * time.Second
	calmLong   = 15 * time.Second
	heardLate  = 2 * time.Minute // until a notice of it, or that it is over
	lastFails  = 20 * time.Second
)

// A service takes a set each minute under write load, sends it to a copy, checks,
// verifies, drills and drops sets, while its database, its storage, its network and
// itself are killed at random: every gap is announced, nothing else is, the heartbeat
// is silent while no set is taken, and no set lies.
// By flag: it takes an hour, or HOLDFAST_TEST_HOUR.
func TestAnHourOfFaults(t *testing.T) {
	splicetest.OnlyLong(t)
	hourOf(t, func(dir string) storage {
		here, away := filepath.Join(dir, "repository"), filepath.Join(dir, "away")
		return storage{
			at: "repository", leave: func() error { return os.Rename(here, away) },
			come: func() error { return os.Rename(away, here) },
		}
	})
}

// The same in a bucket, whose server is killed.
func TestAnHourOfFaultsOfABucket(t *testing.T) {
	splicetest.OnlyLong(t)
	store := storetest.S3(t)
	id, err := store.Access.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", id.Reveal())
	t.Setenv("AWS_SECRET_ACCESS_KEY", storetest.SecretKey)
	hourOf(t, func(string) storage {
		return storage{
			at: store.Place.String(), leave: func() error { store.Stop(); return nil },
			come: func() error { store.Start(t); return nil },
		}
	})
}

// storage is where the sets of the hour are, and how it goes away.
type storage struct {
	at          string
	leave, come func() error
}

func hourOf(t *testing.T, in func(dir string) storage) {
	t.Helper()
	h := newHour(t, in)
	length := time.Hour
	if text := os.Getenv(hourEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, task := range []string{"backup", "check", "copy"} {
		h.service.says(t, task+" is done")
	}
	h.service.says(t, "drill failed") // it cannot tell whether a node of one database has its identities
	time.Sleep(calmLong)
	h.settled = len(h.hook.all())
	faults := []func(*testing.T){h.killDatabase, h.takeStorage, h.cutNetwork, h.killService}
	for end := time.Now().Add(length); time.Now().Before(end); {
		rand.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		for _, fault := range faults {
			if time.Now().After(end) {
				break
			}
			fault(t)
			h.takesASet(t)
			time.Sleep(calmLong)
		}
	}
	h.judge(t)
}

// hour is a service and what is around it.
type hour struct {
	workshop
	server  *splicetest.Server
	storage storage
	wire    *wire
	service *service
	hook    notices
	pulse   pulse
	settled int // notices of what is wrong with such a node from the beginning
	outages []absence
	deaths  []absence // of the service
}

type absence struct {
	what     string
	from, to time.Time
}

func newHour(t *testing.T, in func(dir string) storage) *hour {
	t.Helper()
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	h := &hour{workshop: newWorkshop(t), server: splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true})}
	h.state = t.TempDir() // one machine
	h.storage = in(h.dir)
	execute(t, h.server.DSN("postgres"), "CREATE DATABASE app")
	execute(t, h.server.DSN("app"), "CREATE TABLE t (id bigserial PRIMARY KEY, what text NOT NULL)")
	h.wire = newWire(t, h.server.Port())
	dsn := strings.Replace(h.server.TCPDSN("app"), strconv.Itoa(h.server.Port()), strconv.Itoa(h.wire.port()), 1)
	h.does(t, "init", "--no-input", "--node", "demo", "--repository", h.storage.at, "--database", "app="+dsn,
		"--identities-url", "-")
	hook, outside := httptest.NewServer(&h.hook), httptest.NewServer(&h.pulse)
	t.Cleanup(hook.Close)
	t.Cleanup(outside.Close)
	file := filepath.Join(h.dir, "holdfast.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		text = append(text, `
copies: [second]
schedule: {backup: 1m, watch: 1m, check: 2m, verify: 3m, retention: 4m, drill: 5m}
retention: {last: 12}
notices: {patience: 1s, to: {ops: {url: 'file:ops.url'}}, heartbeat: 'file:beat.url'}
drill: {keep_free: 1MiB}
`...)
		err = os.WriteFile(file, text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, "ops.url"), []byte(hook.URL), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, "beat.url"), []byte(outside.URL), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.load(t)
	h.service = h.serve(t)
	return h
}

// load writes rows all the time, but no more than a drill reads within an outage: one
// that falls into a longer drill stops nothing, and nobody hears of it. Without the
// database it waits.
func (h *hour) load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			conn, err := pgx.Connect(ctx, h.server.DSN("app"))
			for ; err == nil; time.Sleep(200 * time.Millisecond) {
				_, err = conn.Exec(ctx, "INSERT INTO t (what) SELECT repeat('x', 100) FROM generate_series(1, 20)")
			}
			if conn != nil {
				_ = conn.Close(ctx)
			}
		}
	})
	t.Cleanup(func() { stop(); ended.Wait() })
}

// during notes an outage.
func (h *hour) during(t *testing.T, what string, begin, end func() error) {
	t.Helper()
	from := time.Now()
	t.Logf("%s: %s", from.Format(time.TimeOnly), what)
	if err := begin(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	time.Sleep(outageLong)
	if err := end(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	h.outages = append(h.outages, absence{what, from, time.Now()})
}

func (h *hour) killDatabase(t *testing.T) {
	h.during(t, "the database", h.server.Kill, func() error { return h.server.Resume(t.Context()) })
}

func (h *hour) takeStorage(t *testing.T) {
	h.during(t, "the storage", h.storage.leave, h.storage.come)
}

func (h *hour) cutNetwork(t *testing.T) {
	h.during(t, "the network", func() error { h.wire.cut(true); return nil }, func() error { h.wire.cut(false); return nil })
}

// killService ends the service at some moment of its minute, and starts another one
// when whoever watches its heartbeat has to have noticed.
func (h *hour) killService(t *testing.T) {
	time.Sleep(time.Duration(rand.Int64N(int64(time.Minute))))
	t.Logf("%s: the service", time.Now().Format(time.TimeOnly))
	h.service.kill()
	from := time.Now()
	time.Sleep(outageLong)
	h.deaths = append(h.deaths, absence{"the service", from, time.Now()})
	h.service = h.serve(t)
}

// takesASet waits for a set that is begun after now.
func (h *hour) takesASet(t *testing.T) {
	t.Helper()
	before := strings.Count(h.service.log.String(), "backup is done")
	for end := time.Now().Add(4 * time.Minute); strings.Count(h.service.log.String(), "backup is done") == before; {
		if time.Now().After(end) {
			t.Fatalf("no set is taken any more:\n%s", h.service.log.String())
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// judge compares the notices with the outages, and the sets with the truth.
func (h *hour) judge(t *testing.T) {
	t.Helper()
	list := h.hook.all()
	for _, o := range h.outages {
		for word, from := range map[string]time.Time{"problem": o.from, "recovered": o.to} {
			found := false
			for _, n := range list {
				found = found || strings.Contains(n.title, word) && n.at.After(from) && n.at.Before(from.Add(heardLate))
			}
			if !found {
				t.Errorf("nobody heard %q of %s, which was away from %s to %s", word, o.what,
					o.from.Format(time.TimeOnly), o.to.Format(time.TimeOnly))
			}
		}
	}
	h.judgeSilence(t, list)
	h.service.kill()
	h.judgePulse(t, time.Now())
	out, _ := h.run("list", "--output", "json")
	if sets, proven := strings.Count(out, `"id"`), strings.Count(out, `"proven"`); sets == 0 || sets != proven {
		t.Errorf("of %d sets %d are proven:\n%s", sets, proven, out)
	}
	h.does(t, "verify", "--read-data")
	// It cannot tell whether a node of one database has its identities.
	if out, _ := h.run("drill"); !strings.Contains(out, "holds        Everything came back equal") {
		t.Errorf("the newest set does not come back:\n%s", out)
	}
	if t.Failed() {
		t.Logf("notices: %v\n%s", list, h.service.log.String())
	}
}

// judgeSilence makes sure that nothing is announced but what was wrong: what the node
// lacks from the beginning, and outages.
func (h *hour) judgeSilence(t *testing.T, list []noticed) {
	t.Helper()
	known := map[string]bool{}
	for _, n := range list[:h.settled] {
		for _, what := range n.problems() {
			known[what] = true
		}
	}
	for _, n := range list[h.settled:] {
		if slices.ContainsFunc(h.outages, func(o absence) bool {
			return n.at.After(o.from) && n.at.Before(o.to.Add(lastFails))
		}) {
			continue
		}
		for _, what := range n.problems() {
			if !known[what] {
				t.Errorf("%s: %q, and nothing was wrong", n.at.Format(time.TimeOnly), what)
			}
		}
	}
}

// judgePulse judges the heartbeat as whoever watches it from outside does: it says
// nothing while the service is dead, no success while no set can be taken, and else
// one success after the other.
func (h *hour) judgePulse(t *testing.T, end time.Time) {
	t.Helper()
	absent := slices.Concat(h.outages, h.deaths)
	slices.SortFunc(absent, func(a, b absence) int { return a.from.Compare(b.from) })
	absent = append(absent, absence{"the end", end, end})
	beats := h.pulse.all()
	heard := func(from, to time.Time, path string) (n int) {
		for _, b := range beats {
			if b.at.After(from) && b.at.Before(to) && (path == "" || b.path == path) {
				n++
			}
		}
		return n
	}
	for _, a := range h.deaths {
		if n := heard(a.from.Add(onTheWay), a.to, ""); n > 0 {
			t.Errorf("%d pings while the service was dead, from %s", n, a.from.Format(time.TimeOnly))
		}
	}
	for _, a := range h.outages {
		if n := heard(a.from.Add(lastFails), a.to, success); n > 0 {
			t.Errorf("%d pings of success without %s, from %s", n, a.what, a.from.Format(time.TimeOnly))
		}
	}
	for i, a := range absent[:len(absent)-1] {
		if next := absent[i+1]; next.from.Sub(a.to) > heardLate && heard(a.to, a.to.Add(heardLate), success) == 0 {
			t.Errorf("no ping of success after %s was back at %s", a.what, a.to.Format(time.TimeOnly))
		}
	}
}

// success is the path of a ping that says that a proven set was taken; onTheWay is how
// long a ping may be under way that was sent before.
const (
	success  = "/"
	onTheWay = time.Second
)

// pulse is the service that a heartbeat is pinged at, outside of the machine.
type pulse struct {
	mu   sync.Mutex
	list []beat
}

type beat struct {
	at   time.Time
	path string
}

func (p *pulse) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, beat{time.Now(), r.URL.Path})
}

func (p *pulse) all() []beat {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]beat(nil), p.list...)
}

// notices is a web hook that keeps what it gets.
type notices struct {
	mu   sync.Mutex
	list []noticed
}

type noticed struct {
	at         time.Time
	title, say string
}

// problems are what a notice says is wrong, by the name of the condition or the task.
func (n noticed) problems() (names []string) {
	for line := range strings.Lines(n.say) {
		if what, is := strings.CutPrefix(line, "PROBLEM: "); is {
			name, _, _ := strings.Cut(what, ":")
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func (n noticed) String() string {
	return fmt.Sprintf("\n%s %s\n%s", n.at.Format(time.TimeOnly), n.title, n.say)
}

func (n *notices) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var got struct{ Title, Message string }
	_ = json.NewDecoder(r.Body).Decode(&got)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, noticed{time.Now(), got.Title, got.Message})
}

func (n *notices) all() []noticed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]noticed(nil), n.list...)
}

// wire is the network between the service and the database.
type wire struct {
	net.Listener
	mu    sync.Mutex
	dead  bool
	conns map[net.Conn]bool
}

func newWire(t *testing.T, port int) *wire {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{Listener: l, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); w.cut(true) })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))) //nolint:noctx // it ends with the test
			if err != nil || !w.join(near, far) {
				_ = near.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				go func() { _, _ = io.Copy(pair[0], pair[1]); w.leave(near, far) }()
			}
		}
	}()
	return w
}

func (w *wire) port() int { return w.Addr().(*net.TCPAddr).Port }

// join adds connections, unless the wire is cut.
func (w *wire) join(conns ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		if w.dead {
			_ = c.Close()
			continue
		}
		w.conns[c] = true
	}
	return !w.dead
}

func (w *wire) leave(conns ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
		delete(w.conns, c)
	}
}

// cut ends every connection, and lets none through until it is mended.
func (w *wire) cut(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
	for c := range w.conns {
		_ = c.Close()
	}
	clear(w.conns)
}
