// Package secretmanagertest has stand-ins for managers of secrets. They are not
// the vendors' servers: they speak as much of each API as this program uses, as
// the vendors document it. What a real server does beyond that, such as its exact
// wording of refusals, they do not show. internal/testbed/secretmanagers.sh lets
// the vendors' own clients speak to them, before a release.
package secretmanagertest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// StandIn is a server that stands for a manager of secrets.
type StandIn struct {
	URL string

	handler http.HandlerFunc
	put     func(name, text string)

	mu       sync.Mutex
	secrets  map[string]*secret
	denied   bool
	rejected bool
	writes   int
	removals int
	delay    time.Duration
	busy     int
}

// secret is a secret with its versions, the oldest first.
type secret struct {
	versions []version
}

type version struct {
	id      string
	text    string
	created time.Time
	gone    bool
}

func (s *secret) newest() version { return s.versions[len(s.versions)-1] }

// find is the version with that ID, or the newest for "".
func (s *secret) find(id string) (version, bool) {
	if s == nil || len(s.versions) == 0 {
		return version{}, false
	}
	if id == "" {
		return s.newest(), true
	}
	for _, v := range s.versions {
		if v.id == id {
			return v, true
		}
	}
	return version{}, false
}

// serve starts a stand-in.
func serve(t testing.TB, handler func(*StandIn) http.HandlerFunc) *StandIn {
	t.Helper()
	s := &StandIn{secrets: map[string]*secret{}}
	s.put = func(name, text string) { s.add(name, time.Now().Format("150405.000000000"), text) }
	handle := handler(s)
	stopped := make(chan struct{})
	s.handler = func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		delay := s.delay
		s.mu.Unlock()
		select {
		case <-time.After(delay):
		case <-stopped:
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.busy > 0 && !strings.HasSuffix(r.URL.Path, "/token") {
			s.busy--
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		if r.Method == http.MethodDelete {
			s.removals++
		}
		handle(w, r)
	}
	server := httptest.NewServer(s.handler)
	t.Cleanup(func() {
		close(stopped)
		server.Close()
	})
	s.URL = server.URL
	return s
}

// Handler is the server itself, for another address.
func (s *StandIn) Handler() http.Handler { return s.handler }

// Deny makes the server refuse what its clients want, although it knows them.
func (s *StandIn) Deny(on bool) { s.locked(func() { s.denied = on }) }

// Reject makes the server not accept any credentials.
func (s *StandIn) Reject(on bool) { s.locked(func() { s.rejected = on }) }

// Delay makes the server slow.
func (s *StandIn) Delay(d time.Duration) { s.locked(func() { s.delay = d }) }

// Busy makes the server answer so many requests that it is busy.
func (s *StandIn) Busy(requests int) { s.locked(func() { s.busy = requests }) }

// Put writes a value by other means than the client under test.
func (s *StandIn) Put(name, text string) {
	s.locked(func() { s.put(name, text) })
}

// Writes is how many versions clients have written.
func (s *StandIn) Writes() (n int) {
	s.locked(func() { n = s.writes })
	return n
}

// Removals is how often clients wanted something deleted.
func (s *StandIn) Removals() (n int) {
	s.locked(func() { n = s.removals })
	return n
}

// Drop deletes the value of the newest version.
func (s *StandIn) Drop(name string) {
	s.locked(func() { v := s.secrets[name].versions; v[len(v)-1].gone = true })
}

func (s *StandIn) locked(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// add adds a version.
func (s *StandIn) add(name, id, text string) version {
	at := s.secrets[name]
	if at == nil {
		at = &secret{}
		s.secrets[name] = at
	}
	v := version{id: id, text: text, created: time.Now().UTC()}
	at.versions = append(at.versions, v)
	return v
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func decode(r *http.Request, into any) error {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// object is JSON.
type object = map[string]any
