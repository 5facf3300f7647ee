package setup

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"holdfast/config"
	"holdfast/daemon"
	"holdfast/schedule"
	"holdfast/systemd"
)

// manager is a service manager that hears what a service says.
type manager struct {
	t    *testing.T
	path string // of its socket

	mu   sync.Mutex
	said []string
}

// newManager starts one that wants a sign of life so often.
func newManager(t *testing.T, every string) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", every)
	t.Setenv("WATCHDOG_PID", "")
	m := &manager{t: t, path: path}
	var all sync.WaitGroup
	all.Go(func() {
		text := make([]byte, 4096)
		for {
			n, err := l.Read(text)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, string(text[:n]))
			m.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return m
}

// heard is how often it heard that text, since it last forgot.
func (m *manager) heard(text string) (n int) {
	m.t.Helper()
	m.listen()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, said := range m.said {
		n += strings.Count(said, text)
	}
	return n
}

// listen returns when it has heard all that was said so far: what is sent comes in its
// order, and on a busy machine some is still on its way. It does not sleep, as the
// time of these tests is not that of the socket.
func (m *manager) listen() {
	m.t.Helper()
	const mark = "that is all"
	conn, err := net.Dial("unixgram", m.path) //nolint:noctx // of this machine
	if err == nil {
		_, err = conn.Write([]byte(mark))
		_ = conn.Close()
	}
	if err != nil {
		m.t.Fatal(err)
	}
	for came := false; !came; runtime.Gosched() {
		m.mu.Lock()
		if i := slices.Index(m.said, mark); i >= 0 {
			m.said, came = slices.Delete(m.said, i, i+1), true
		}
		m.mu.Unlock()
	}
}

func (m *manager) forget() {
	m.t.Helper()
	m.listen()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.said = nil
}

// A loop that hangs is not alive: /healthz says so, and the service manager hears
// no more signs of life, so that it starts the service again. A task that takes
// long is no such thing.
func TestALoopThatHangsIsNotAlive(t *testing.T) {
	manager := newManager(t, "30000000")
	conf, err := config.Parse("n.yaml", []byte(`
node: n
databases: {validator: "postgres:///validator"}
repository: {path: /nonexistent, password: "file:password"}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		services := &Services{list: []*Service{Serve(conf, Options{})}}
		one := services.list[0]
		answers, err := Endpoint(t.Context(), services.list, "1")
		if err != nil {
			t.Fatal(err)
		}
		healthz := func(when string, code int, says string) {
			t.Helper()
			w := httptest.NewRecorder()
			answers.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", nil))
			if w.Code != code || !strings.Contains(w.Body.String(), says) {
				t.Errorf("%s: /healthz answers %d %q, want %d %q", when, w.Code, w.Body, code, says)
			}
		}
		// A task each hour, and a repository that is asked before and after it.
		var hangs, long atomic.Int64
		node := one.Node()
		node.Changed = nil
		node.Past = func(context.Context) (map[string]schedule.Past, error) {
			time.Sleep(time.Duration(hangs.Load()))
			return nil, nil
		}
		node.Tasks = func() []daemon.Task {
			return []daemon.Task{{
				Task: schedule.Task{Name: backupTask, Rule: schedule.Every(time.Hour)},
				Do:   func(context.Context) error { time.Sleep(time.Duration(long.Load())); return nil },
			}}
		}
		ctx, stop := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { _ = daemon.Daemon{Nodes: []daemon.Node{node}, Clock: daemon.SystemClock{}}.Run(ctx) })
		all.Go(func() { services.keepAlive(ctx) })
		defer func() { stop(); all.Wait() }()

		passes := func(d time.Duration) { manager.forget(); time.Sleep(d); synctest.Wait() }
		passes(30 * time.Minute)
		healthz("it waits", http.StatusOK, "ok")
		if n := manager.heard(systemd.Alive); n < 170 {
			t.Errorf("in half an hour %d signs of life", n)
		}
		long.Store(int64(2 * time.Hour))
		passes(90 * time.Minute) // an hour of them in the task
		healthz("a task takes long", http.StatusOK, "ok")
		hangs.Store(int64(6 * time.Hour))
		long.Store(0)
		passes(2 * time.Hour) // the task ends, and what it did is asked for
		passes(time.Hour)
		healthz("it hangs", http.StatusServiceUnavailable, "n: nothing was decided for ")
		if manager.heard(systemd.Alive) > 0 || manager.heard("STATUS=n: nothing was decided for ") == 0 {
			t.Error("the service manager hears that it is alive, or not why it is not")
		}
		hangs.Store(0)
		passes(6 * time.Hour)
		healthz("it goes on", http.StatusOK, "ok")
		if manager.heard(systemd.Alive) == 0 {
			t.Error("no sign of life since it goes on")
		}
	})
}
