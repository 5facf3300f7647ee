package web

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"

	"holdfast"
	"holdfast/event"
)

// Site is all pages of a daemon.
type Site struct {
	Nodes   []Node
	Access  Access
	Version string // of the program
	Now     func() time.Time
	Events  event.Listener // hears who logs in, and who fails to
	Hide    func(string) string
}

// site is a Site at work.
type site struct {
	Site
	screens  map[string]*template.Template
	sessions *scs.SessionManager
	doors    doors
}

// Handler serves the pages and the reports as JSON, from the root of a host.
func (s Site) Handler() (http.Handler, error) {
	if err := s.Access.check(); err != nil {
		return nil, err
	}
	if s.Hide == nil {
		s.Hide = func(text string) string { return text }
	}
	screens, err := parseScreens()
	if err != nil {
		return nil, err
	}
	doors, err := newDoors(s.Access.Users)
	if err != nil {
		return nil, err
	}
	w := &site{Site: s, screens: screens, sessions: newSessions(s.Access), doors: doors}
	mux := http.NewServeMux()
	mux.Handle("GET /assets/", assets())
	w.access(mux)
	w.pages(mux)
	w.actions(mux)
	w.api(mux)
	cross := http.NewCrossOriginProtection()
	cross.SetDenyHandler(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.refuse(out, r, http.StatusForbidden, "another site's page sent this request")
	}))
	return headers(s.Access.local(w.sessions.LoadAndSave(cross.Handler(mux)))), nil
}

// headers are set on every answer: nothing is loaded from elsewhere, no page is
// put into another, nothing is kept by a browser or a proxy.
func headers(next http.Handler) http.Handler {
	const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// node is the node that a path names.
func (s *site) node(r *http.Request) (Node, bool) {
	i := slices.IndexFunc(s.Nodes, func(n Node) bool { return string(n.Name) == r.PathValue("node") })
	if i < 0 {
		return Node{}, false
	}
	return s.Nodes[i], true
}

// show renders a screen whole before anything of it is sent.
func (s *site) show(w http.ResponseWriter, r *http.Request, status int, screen string, p page) {
	p.Version, p.Now, p.Screen = s.Version, s.Now().UTC(), screen
	p.Who, p.Role = s.whoever(r)
	p.Open, p.Several = s.Access.Open, len(s.Nodes) > 1
	var text bytes.Buffer
	if err := s.screens[screen].ExecuteTemplate(&text, "base", p); err != nil {
		http.Error(w, fmt.Sprintf("render %s: %v", screen, err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text.Bytes())
}

// refuse answers with an error: a page for a browser, JSON below /api.
func (s *site) refuse(w http.ResponseWriter, r *http.Request, status int, what string) {
	s.problem(w, r, status, &holdfast.Problem{Class: holdfast.Refused, What: what})
}

func (s *site) problem(w http.ResponseWriter, r *http.Request, status int, err error) {
	why, do := holdfast.Advice(err)
	failure := Failure{Status: status, What: s.Hide(err.Error()), Why: s.Hide(why), Do: s.Hide(do)}
	if isAPI(r) {
		writeJSON(w, status, answer{1, "error", failure})
		return
	}
	s.show(w, r, status, "error", page{Title: http.StatusText(status), Body: failure})
}

// Failure is an error as a page and the interface show it.
type Failure struct {
	Status int    `json:"status"`
	What   string `json:"what"`
	Why    string `json:"why,omitempty"`
	Do     string `json:"do,omitempty"`
}

// statusOf is the status of an answer that an error ends.
func statusOf(err error) int {
	var p *holdfast.Problem
	if !errors.As(err, &p) {
		return http.StatusInternalServerError
	}
	switch holdfast.ClassOf(err) {
	case holdfast.Usage:
		return http.StatusNotFound
	case holdfast.Refused:
		return http.StatusForbidden
	case holdfast.Busy:
		return http.StatusConflict
	case holdfast.Unreachable, holdfast.NoRepository, holdfast.WrongKey:
		return http.StatusBadGateway
	}
	return http.StatusInternalServerError
}
