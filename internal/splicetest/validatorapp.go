package splicetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Fault is something wrong with a validator app, or with what stands before
// it.
type Fault string

// The faults.
const (
	Healthy      Fault = ""
	Initialising Fault = "initialising" // admin routes are not there yet, and it is not ready
	Truncated    Fault = "truncated"    // the connection ends in the middle of the dump
	CutJSON      Fault = "cut JSON"     // half a dump, as a whole answer
	LoginPage    Fault = "login page"   // a proxy answers everything with a page, and 200
	Unavailable  Fault = "unavailable"  // a proxy answers everything with 503
	ErrorBody    Fault = "error body"   // 200 with an error in the place of the dump
)

// AppOptions set up an imitated validator app. Dump, Party and User are
// required.
type AppOptions struct {
	Dump     []byte // what the identities endpoint answers
	Party    string // the operator's party
	User     string // the ledger API user: nobody else is an administrator
	Audience string // that a token has to carry; "" for DefaultAudience
	JWKS     string // URL of the issuer's keys: RS256. "" for the unsafe HS256 of a node without authentication
	Host     string // the only Host it answers, as the proxy of a compose deployment; "" answers all
	Version  string // "" for SpliceVersion
	Addr     string // to listen on; "" for a free port of 127.0.0.1
	Users    func(context.Context) ([]string, error)
}

// DefaultAudience is the audience of a node that does not choose its own.
const DefaultAudience = "https://validator.example.com"

// ComposeHost is the name under which a compose deployment's proxy reaches the
// validator app.
const ComposeHost = "wallet.localhost"

// Request is one that the validator app has answered.
type Request struct {
	Method, Path, Host string
	Status             int
}

// ValidatorApp imitates the HTTP face of a validator app: the endpoints below
// /api/validator that a backup meets, with their status codes and bodies.
type ValidatorApp struct {
	options AppOptions
	began   time.Time
	server  *http.Server
	addr    string

	mu       sync.Mutex
	dump     []byte
	fault    Fault
	delay    time.Duration
	requests []Request
}

// StartValidatorApp starts one.
func StartValidatorApp(options AppOptions) (*ValidatorApp, error) {
	options.Audience = cmp.Or(options.Audience, DefaultAudience)
	options.Version = cmp.Or(options.Version, SpliceVersion)
	listener, err := net.Listen("tcp", cmp.Or(options.Addr, "127.0.0.1:0"))
	if err != nil {
		return nil, fmt.Errorf("start a validator app: %w", err)
	}
	a := &ValidatorApp{options: options, began: time.Now(), addr: listener.Addr().String(), dump: options.Dump}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// StartValidatorApp starts the node's validator app: options that are empty
// follow from the node, its users are those whose wallet the database knows.
func (n *Node) StartValidatorApp(options AppOptions) (*ValidatorApp, error) {
	if options.Dump == nil {
		options.Dump = n.Identities.JSON
	}
	if options.Party == "" {
		options.Party = n.Party
	}
	if options.User == "" {
		options.User = n.User
	}
	if options.Users == nil {
		options.Users = n.Users
	}
	return StartValidatorApp(options)
}

// URL is the address of the app, without /api/validator.
func (a *ValidatorApp) URL() string { return "http://" + a.addr }

// Close ends the app and its connections.
func (a *ValidatorApp) Close() error { return a.server.Close() }

// SetFault makes the app answer wrongly from now on; Healthy ends that.
func (a *ValidatorApp) SetFault(fault Fault) { a.change(func() { a.fault = fault }) }

// SetDump replaces the dump: by a newer one, a damaged one or another node's.
func (a *ValidatorApp) SetDump(dump []byte) { a.change(func() { a.dump = dump }) }

// SetParty replaces the operator's party, of an app that learns it late.
func (a *ValidatorApp) SetParty(party string) { a.change(func() { a.options.Party = party }) }

// SetDelay makes every answer take that long.
func (a *ValidatorApp) SetDelay(delay time.Duration) { a.change(func() { a.delay = delay }) }

func (a *ValidatorApp) change(how func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	how()
}

func (a *ValidatorApp) party() (party string) {
	a.change(func() { party = a.options.Party })
	return party
}

// Requests lists what was answered so far.
func (a *ValidatorApp) Requests() []Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// ServeHTTP answers a request.
func (a *ValidatorApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	dump, fault, delay := a.dump, a.fault, a.delay
	a.mu.Unlock()
	if !pause(r.Context(), delay) {
		return
	}
	seen := &recorder{ResponseWriter: w, status: http.StatusOK}
	defer a.change(func() {
		a.requests = append(a.requests, Request{r.Method, r.URL.Path, r.Host, seen.status})
	})
	a.route(seen, r, dump, fault)
}

func (a *ValidatorApp) route(w http.ResponseWriter, r *http.Request, dump []byte, fault Fault) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	switch {
	case a.options.Host != "" && host != a.options.Host:
		answer(w, http.StatusNotFound, "text/html",
			"<html><head><title>404 Not Found</title></head><body><center><h1>404 Not Found</h1></center><hr><center>nginx</center></body></html>\n")
		return
	case fault == LoginPage:
		answer(w, http.StatusOK, "text/html; charset=utf-8",
			"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body><form method=\"post\" action=\"/login\"><input name=\"user\"><input name=\"password\" type=\"password\"></form></body></html>\n")
		return
	case fault == Unavailable:
		answer(w, http.StatusServiceUnavailable, "text/html",
			"<html><head><title>503 Service Temporarily Unavailable</title></head><body><h1>503 Service Temporarily Unavailable</h1></body></html>\n")
		return
	}
	active := fault != Initialising
	switch r.Method + " " + r.URL.Path {
	case "GET /api/validator/livez":
		w.WriteHeader(http.StatusOK)
	case "GET /api/validator/readyz":
		if !active {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	case "GET /api/validator/status":
		answerJSON(w, http.StatusOK, a.status(active))
	case "GET /api/validator/version":
		answerJSON(w, http.StatusOK, map[string]any{
			"version":   a.options.Version,
			"commit_ts": "2026-03-01T08:00:00Z",
		})
	default:
		if !active {
			notFound(w)
			return
		}
		a.routeReady(w, r, dump, fault)
	}
}

// routeReady answers what is there only when the app has initialised.
func (a *ValidatorApp) routeReady(w http.ResponseWriter, r *http.Request, dump []byte, fault Fault) {
	switch r.Method + " " + r.URL.Path {
	case "GET /api/validator/v0/validator-user":
		answerJSON(w, http.StatusOK, map[string]any{
			"party_id":  a.party(),
			"user_name": a.options.User,
			"featured":  false,
		})
	case "GET /api/validator/v0/admin/participant/identities":
		if a.admits(w, r) {
			writeDump(w, dump, fault)
		}
	case "GET /api/validator/v0/admin/users":
		if a.admits(w, r) {
			a.answerUsers(w, r)
		}
	default:
		notFound(w)
	}
}

// writeDump answers the identities, or what the fault makes of them.
func writeDump(w http.ResponseWriter, dump []byte, fault Fault) {
	w.Header().Set("Content-Type", "application/json")
	switch fault {
	case Truncated:
		w.Header().Set("Content-Length", strconv.Itoa(len(dump)))
		_, _ = w.Write(dump[:len(dump)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // ends the connection
	case CutJSON:
		_, _ = w.Write(dump[:len(dump)/2])
	case ErrorBody:
		answerError(w, http.StatusOK,
			"The server is currently unavailable (because it is overloaded or down for maintenance).")
	default:
		_, _ = w.Write(dump)
	}
}

// usersShown is how many users the list names at most.
const usersShown = 1000

func (a *ValidatorApp) answerUsers(w http.ResponseWriter, r *http.Request) {
	users := []string{a.options.User}
	if a.options.Users != nil {
		var err error
		if users, err = a.options.Users(r.Context()); err != nil {
			answerError(w, http.StatusInternalServerError, "There was an internal server error.")
			return
		}
	}
	answerJSON(w, http.StatusOK, map[string]any{"usernames": users[:min(len(users), usersShown)]})
}

func (a *ValidatorApp) status(active bool) any {
	if !active {
		return map[string]any{"not_initialized": map[string]any{"active": false}}
	}
	return map[string]any{"success": map[string]any{
		"id": "validator_backend", "uptime": fmt.Sprintf("PT%dS", int(time.Since(a.began).Seconds())),
		"ports": map[string]int{"admin": 5003}, "active": true,
	}}
}

// admits checks the token as the app does, and answers for it if it does not
// let the request in.
func (a *ValidatorApp) admits(w http.ResponseWriter, r *http.Request) bool {
	user, err := a.authenticate(r)
	switch {
	case errors.Is(err, errNoToken):
		w.Header().Set("WWW-Authenticate", "Bearer realm=\"validator\"")
		answerError(w, http.StatusUnauthorized,
			"The resource requires authentication, which was not supplied with the request")
	case err != nil:
		w.Header().Set("WWW-Authenticate", "Bearer realm=\"validator\"")
		answerError(w, http.StatusUnauthorized, "The supplied authentication is invalid")
	case user != a.options.User:
		answerError(w, http.StatusForbidden, "Authorization Failed for "+user)
	default:
		return true
	}
	return false
}

func notFound(w http.ResponseWriter) {
	answerError(w, http.StatusNotFound, "The requested resource could not be found.")
}

func answerError(w http.ResponseWriter, status int, message string) {
	answerJSON(w, status, map[string]string{"error": message})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	text, _ := json.Marshal(body)
	answer(w, status, "application/json", string(text))
}

func answer(w http.ResponseWriter, status int, kind, body string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets a response controller reach what is behind.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
