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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast/internal/splicetest"
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

// A service takes a set each minute under write load, while its database, its
// storage, its network and itself are killed at random: every gap is announced,
// nothing else is, and no set lies. By flag: it takes an hour, or HOLDFAST_TEST_HOUR.
func TestAnHourOfFaults(t *testing.T) {
	splicetest.OnlyLong(t)
	h := newHour(t)
	length := time.Hour
	if text := os.Getenv(hourEnv); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	h.service.says(t, "backup is done")
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
	wire    *wire
	service *service
	hook    notices
	outages []absence
}

type absence struct {
	what     string
	from, to time.Time
}

func newHour(t *testing.T) *hour {
	t.Helper()
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	h := &hour{workshop: newWorkshop(t), server: splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true})}
	execute(t, h.server.DSN("postgres"), "CREATE DATABASE app")
	execute(t, h.server.DSN("app"), "CREATE TABLE t (id bigserial PRIMARY KEY, what text NOT NULL)")
	h.wire = newWire(t, h.server.Port())
	dsn := strings.Replace(h.server.TCPDSN("app"), strconv.Itoa(h.server.Port()), strconv.Itoa(h.wire.port()), 1)
	h.does(t, "init", "--no-input", "--node", "demo", "--repository", "repository", "--database", "app="+dsn,
		"--identities-url", "-")
	hook := httptest.NewServer(&h.hook)
	t.Cleanup(hook.Close)
	file := filepath.Join(h.dir, "holdfast.yaml")
	text, err := os.ReadFile(file)
	if err == nil {
		text = append(text, `
schedule: {backup: 1m, check: never, watch: never, verify: never, drill: never, retention: never}
notices: {patience: 1s, to: {ops: {url: 'file:ops.url'}}}
drill: {keep_free: 1MiB}
`...)
		err = os.WriteFile(file, text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(h.dir, "ops.url"), []byte(hook.URL), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.load(t)
	h.service = h.serve(t)
	return h
}

// load writes rows all the time; without the database it waits.
func (h *hour) load(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		for ; ctx.Err() == nil; time.Sleep(time.Second) {
			conn, err := pgx.Connect(ctx, h.server.DSN("app"))
			for ; err == nil; time.Sleep(10 * time.Millisecond) {
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
	here, away := filepath.Join(h.dir, "repository"), filepath.Join(h.dir, "away")
	h.during(t, "the storage", func() error { return os.Rename(here, away) }, func() error { return os.Rename(away, here) })
}

func (h *hour) cutNetwork(t *testing.T) {
	h.during(t, "the network", func() error { h.wire.cut(true); return nil }, func() error { h.wire.cut(false); return nil })
}

// killService ends the service at some moment of its minute, and starts another.
func (h *hour) killService(t *testing.T) {
	time.Sleep(time.Duration(rand.Int64N(int64(time.Minute))))
	t.Logf("%s: the service", time.Now().Format(time.TimeOnly))
	h.service.kill()
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
	for _, n := range list {
		during := false
		for _, o := range h.outages {
			during = during || n.at.After(o.from) && n.at.Before(o.to.Add(lastFails))
		}
		if strings.Contains(n.title, "problem") && !during {
			t.Errorf("%s: %q, and nothing was wrong", n.at.Format(time.TimeOnly), n.title)
		}
	}
	h.service.kill()
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

// notices is a web hook that keeps what it gets.
type notices struct {
	mu   sync.Mutex
	list []noticed
}

type noticed struct {
	at    time.Time
	title string
}

func (n noticed) String() string { return fmt.Sprintf("\n%s %s", n.at.Format(time.TimeOnly), n.title) }

func (n *notices) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var got struct{ Title string }
	_ = json.NewDecoder(r.Body).Decode(&got)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, noticed{time.Now(), got.Title})
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
