package web

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
	"golang.org/x/time/rate"

	"holdfast"
)

// Role says what somebody may do.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // sees everything and starts nothing
	Operator Role = "operator" // may also start what is safe from a page
)

// Access says who may see the pages.
type Access struct {
	Users []User
	OIDC  *OIDC
	// Open lets everybody in who reaches the listener, as an operator. It is for a
	// listener on this machine alone: requests under another name are refused.
	Open bool
	// URL is the address in browsers, behind a proxy or not: where an OpenID
	// provider sends back to. With https cookies are never sent in clear.
	URL string
}

// User logs in with a password.
type User struct {
	Name string
	Hash holdfast.Secret // of the password: argon2id, as HashPassword makes it
	Role Role
}

// HashPassword is a password as a configuration may hold it.
func HashPassword(password string) (string, error) {
	return argon2id.CreateHash(password, argon2id.DefaultParams)
}

func (a Access) check() error {
	wrong := func(what, do string) error {
		return &holdfast.Problem{Class: holdfast.Usage, What: "page: " + what, Do: do}
	}
	switch {
	case a.Open && (len(a.Users) > 0 || a.OIDC != nil):
		return wrong("open leaves no room for users or oidc", "Remove `open`, or the others.")
	case !a.Open && len(a.Users) == 0 && a.OIDC == nil:
		return wrong("nobody could log in",
			"Name `users` or `oidc`, or choose `open: true` for a page on this machine alone.")
	case a.OIDC != nil && !strings.HasPrefix(a.URL, "http"):
		return wrong("an OpenID provider sends back to an address, and none is named",
			"Set `page.url`, such as https://holdfast.example.com.")
	}
	for _, u := range a.Users {
		if _, _, _, err := argon2id.DecodeHash(u.Hash.Reveal()); err != nil {
			return wrong(fmt.Sprintf("the password of %s is not a hash of argon2id", u.Name),
				"Make one: `holdfast page password`.")
		}
	}
	return nil
}

// local refuses requests to an open page under a name that is not this machine's:
// a name of somebody else's may lead here.
func (a Access) local(next http.Handler) http.Handler {
	if !a.Open {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopback(r.Host) {
			http.Error(w, "This page is open without a login, and only as localhost.", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host == "localhost" || err == nil && address.IsLoopback()
}

// The keys of a session.
const (
	whoKey  = "who"
	roleKey = "role"
)

// newSessions are kept in memory: who is logged in logs in again when the daemon
// was started again.
func newSessions(a Access) *scs.SessionManager {
	m := scs.New()
	m.Store = memstore.NewWithCleanupInterval(10 * time.Minute)
	m.Lifetime, m.IdleTimeout = 12*time.Hour, time.Hour
	m.Cookie.Name, m.Cookie.Path = "holdfast", "/"
	m.Cookie.HttpOnly, m.Cookie.SameSite, m.Cookie.Persist = true, http.SameSiteLaxMode, false
	if strings.HasPrefix(a.URL, "https://") {
		m.Cookie.Name, m.Cookie.Secure = "__Host-holdfast", true
	}
	return m
}

// whoever sent a request, and what they may; "" where nobody has logged in.
func (s *site) whoever(r *http.Request) (string, Role) {
	if s.Access.Open {
		return "local", Operator
	}
	return s.sessions.GetString(r.Context(), whoKey), Role(s.sessions.GetString(r.Context(), roleKey))
}

// asViewer lets in who has logged in, and others log in first.
func (s *site) asViewer(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if who, _ := s.whoever(r); who != "" {
			next(w, r)
			return
		}
		if isAPI(r) || r.Method != http.MethodGet {
			s.refuse(w, r, http.StatusUnauthorized, "nobody is logged in")
			return
		}
		http.Redirect(w, r, "/login?to="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	}
}

// asOperator lets in operators.
func (s *site) asOperator(next http.HandlerFunc) http.HandlerFunc {
	return s.asViewer(func(w http.ResponseWriter, r *http.Request) {
		if who, role := s.whoever(r); role != Operator {
			s.refuse(w, r, http.StatusForbidden, who+" may look, and start nothing")
			return
		}
		next(w, r)
	})
}

// access serves what lets people in and out.
func (s *site) access(mux *http.ServeMux) {
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { s.loginPage(w, r, "") })
	mux.HandleFunc("POST /login", s.login)
	mux.HandleFunc("POST /logout", s.logout)
	if s.Access.OIDC != nil {
		mux.HandleFunc("GET /login/oidc", s.toProvider)
		mux.HandleFunc("GET /login/oidc/back", s.fromProvider)
	}
}

func (s *site) loginPage(w http.ResponseWriter, r *http.Request, failed string) {
	if who, _ := s.whoever(r); who != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	status := http.StatusOK
	if failed != "" {
		status = http.StatusUnauthorized
	}
	s.show(w, r, status, "login", page{Title: "Log in", Body: loginForm{
		To: target(r), Failed: failed, Passwords: len(s.Access.Users) > 0, OIDC: s.Access.OIDC != nil,
	}})
}

type loginForm struct {
	To, Failed      string
	Passwords, OIDC bool
}

// target is the page to show next: one of ours, whatever the request says.
func target(r *http.Request) string {
	to, err := url.Parse(r.FormValue("to"))
	if err != nil || to.IsAbs() || to.Host != "" || !strings.HasPrefix(to.Path, "/") ||
		strings.HasPrefix(to.Path, "//") || strings.ContainsAny(r.FormValue("to"), "\\") {
		return "/"
	}
	return to.RequestURI()
}

func (s *site) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
	name, from := r.FormValue("name"), remote(r)
	if !s.doors.mayTry(from) {
		s.Events.Report(LoginFailed{Who: name, From: from, Why: "too many attempts"})
		w.Header().Set("Retry-After", "60")
		s.loginPage(w, r, "Too many attempts. Wait a minute.")
		return
	}
	user, ok := s.doors.open(s.Access.Users, name, r.FormValue("password"))
	if !ok {
		s.Events.Report(LoginFailed{Who: name, From: from, Why: "wrong name or password"})
		s.loginPage(w, r, "Wrong name or password.")
		return
	}
	s.enter(w, r, user.Name, user.Role, target(r))
}

// enter begins a session, under a name of its own.
func (s *site) enter(w http.ResponseWriter, r *http.Request, who string, role Role, to string) {
	if err := s.sessions.RenewToken(r.Context()); err != nil {
		s.problem(w, r, http.StatusInternalServerError, err)
		return
	}
	s.sessions.Put(r.Context(), whoKey, who)
	s.sessions.Put(r.Context(), roleKey, string(role))
	s.Events.Report(LoggedIn{Who: who, Role: role, From: remote(r)})
	http.Redirect(w, r, to, http.StatusSeeOther)
}

func (s *site) logout(w http.ResponseWriter, r *http.Request) {
	_ = s.sessions.Destroy(r.Context())
	http.Redirect(w, r, "/login", http.StatusSeeOther)
}

func remote(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		return host
	}
	return r.RemoteAddr
}

// doors bound what guessing passwords costs: attempts from one address, and the
// memory of comparing one, which is large on purpose.
type doors struct {
	mu    *sync.Mutex
	tries map[string]*rate.Limiter
	one   *sync.Mutex // password at a time
	dummy string      // compared with where there is no such user
}

// The bounds: so many attempts at once, and then one every so often.
const (
	burst     = 5
	each      = 12 * time.Second
	addresses = 10_000
)

func newDoors(users []User) (doors, error) {
	d := doors{mu: new(sync.Mutex), tries: map[string]*rate.Limiter{}, one: new(sync.Mutex)}
	var err error
	if len(users) > 0 {
		d.dummy, err = HashPassword(rand.Text())
	}
	return d, err
}

func (d doors) mayTry(from string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tries) > addresses {
		clear(d.tries)
	}
	if d.tries[from] == nil {
		d.tries[from] = rate.NewLimiter(rate.Every(each), burst)
	}
	return d.tries[from].Allow()
}

// open compares a password. A name that nobody has takes as long as any other.
func (d doors) open(users []User, name, password string) (User, bool) {
	d.one.Lock()
	defer d.one.Unlock()
	found, hash := User{}, d.dummy
	for _, u := range users {
		if u.Name == name {
			found, hash = u, u.Hash.Reveal()
		}
	}
	same, err := argon2id.ComparePasswordAndHash(password, hash)
	return found, err == nil && same && found.Name != ""
}

// LoggedIn is the event of somebody who has logged in.
type LoggedIn struct {
	Who  string
	Role Role
	From string
}

func (e LoggedIn) String() string {
	return fmt.Sprintf("%s has logged in as %s, from %s", e.Who, e.Role, e.From)
}

// LoginFailed is the event of somebody who has not.
type LoginFailed struct{ Who, From, Why string }

func (e LoginFailed) String() string {
	return fmt.Sprintf("login of %q from %s failed: %s", e.Who, e.From, e.Why)
}
