package contract_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/identities/identitiestest"
	"holdfast/internal/splicetest"
)

// recorded is one answer of an imitation, and what it is judged by.
type recorded struct {
	Endpoint string `json:"-"`      // as the table names it
	When     string `json:"-"`      // the state of the imitation
	Source   string `json:"source"` // of the type: a file of the vendor's
	Path     string `json:"path"`   // there
	Status   int    `json:"status"`
	Body     string `json:"body"`
}

// judgement is what the vendor's types say about recorded answers.
type judgement struct {
	Faults  [][]string          // of each answer
	General []string            // of everything
	Known   map[string][]string // which sources have a path
}

func judge(t *testing.T, answers []recorded, paths []string) judgement {
	t.Helper()
	var j judgement
	run(t, "answers.mjs", map[string]any{"answers": answers, "paths": paths}, &j)
	if len(j.General) > 0 || len(j.Faults) != len(answers) {
		t.Fatalf("the types do not compile: %q", j.General)
	}
	return j
}

// Every answer of the imitated apps is one that the vendor's types allow, and
// there is one of every endpoint.
func TestTheImitatedAppsAnswerWithTheVendorsTypes(t *testing.T) {
	packages(t)
	rows := table(t, "HTTP")
	answers := append(validatorAnswers(t, rows), scanAnswers(t, rows)...)
	var paths []string
	for endpoint := range rows {
		paths = append(paths, withoutAPI(endpoint))
	}
	var typed []recorded
	whole := map[string]bool{}
	for _, a := range answers {
		if a.Source = rows[a.Endpoint].source(); a.Source != "" {
			a.Path = withoutAPI(a.Endpoint)
			typed = append(typed, a)
			whole[a.Endpoint] = whole[a.Endpoint] || a.Status == http.StatusOK
		}
	}
	j := judge(t, typed, paths)
	for n, a := range typed {
		for _, fault := range j.Faults[n] {
			t.Errorf("%s, %s: status %d: %s\n%s", a.Endpoint, a.When, a.Status, fault, a.Body)
		}
	}
	for endpoint, r := range rows {
		source, known := r.source(), j.Known[withoutAPI(endpoint)]
		switch {
		case source != "" && !slices.Contains(known, source):
			t.Errorf("%s: the table says that %s has it, and it does not", endpoint, source)
		case source != "" && !whole[endpoint]:
			t.Errorf("%s: no answer of it was judged", endpoint)
		case source == "" && len(known) > 0:
			t.Errorf("%s: the table says %q, and %q have it", endpoint, r.heldBy, known)
		}
	}
}

// A fault that is planted in an answer is found, so that the test above can
// fail.
func TestTheVendorsTypesFindWhatIsWrong(t *testing.T) {
	packages(t)
	const one = `"migrationId": -1, "id": "SEQ::x", "url": "https://x", "svName": "sv"`
	sequencers := func(rest string) string {
		return `{"domainSequencers": [{"domainId": "d", "sequencers": [{` + one + rest + `}]}]}`
	}
	answers := []recorded{
		{Path: "/v0/dso-sequencers", Status: 200, Body: sequencers(`, "availableAfter": "2026-01-01T00:00:00Z"`)},
		{Path: "/v0/dso-sequencers", Status: 200, Body: sequencers(``)},
		{Path: "/v0/dso-sequencers", Status: 200, Body: sequencers(`, "availableAfter": "2026-01-01"`)},
		{Path: "/v0/dso-sequencers", Status: 200, Body: sequencers(`, "availableAfter": "2026-01-01T00:00:00Z", "x": 5`)},
		{Path: "/v0/active-synchronizer-serial", Status: 200, Body: `{"serial": "5"}`},
		{Path: "/v0/active-synchronizer-serial", Status: 200, Body: `{"serial": 5.5}`},
		{Path: "/v0/active-synchronizer-serial", Status: 404, Body: `{"message": "no"}`},
		{Path: "/v0/active-synchronizer-serial", Status: 200, Body: ``},
		{Path: "/readyz", Status: 200, Body: `{}`},
		{Path: "/v0/no-such-path", Status: 200, Body: `{}`},
	}
	for n := range answers {
		answers[n].Source = "scan"
	}
	j := judge(t, answers, []string{})
	for n, faults := range j.Faults {
		if whole := n == 0; whole != (len(faults) == 0) {
			t.Errorf("%s %s: %q", answers[n].Path, answers[n].Body, faults)
		}
	}
}

// record asks an endpoint. Only what the app itself says is recorded: a page of
// HTML is a proxy's.
func record(t *testing.T, base, endpoint, token, when string) []recorded {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+endpoint, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if len(body) > 0 && kind != "application/json" {
		if kind != "text/html" {
			t.Errorf("%s, %s: %q with a body of %q", endpoint, when, kind, body)
		}
		return nil
	}
	return []recorded{{Endpoint: endpoint, When: when, Status: response.StatusCode, Body: string(body)}}
}

// lister lists the users of a validator app.
type lister = func(context.Context) ([]string, error)

// validatorApp is an imitated app without a database.
func validatorApp(t *testing.T, dump identitiestest.Dump, users lister) *splicetest.ValidatorApp {
	t.Helper()
	app, err := splicetest.StartValidatorApp(splicetest.AppOptions{
		Dump: dump.JSON, Party: dump.ParticipantID, User: splicetest.LedgerUser, Users: users,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close() })
	return app
}

func validatorAnswers(t *testing.T, rows map[string]row) (out []recorded) {
	t.Helper()
	token := splicetest.UnsafeToken(splicetest.LedgerUser, splicetest.DefaultAudience)
	tokens := map[string]string{
		"with its token": token, "without a token": "", "with a token that is none": "x.y.z",
		"with another user's token": splicetest.UnsafeToken("mallory", splicetest.DefaultAudience),
	}
	many := func(context.Context) ([]string, error) { return make([]string, 1200), nil }
	none := func(context.Context) ([]string, error) { return nil, errors.New("no database") }
	dumps := map[string]identitiestest.Options{
		"current": {Version: splicetest.SpliceVersion}, "without version": {},
		"old": {OldLayout: true}, "of a KMS": {KMS: true},
	}
	ask := func(app *splicetest.ValidatorApp, when string) {
		for who, token := range tokens {
			for _, endpoint := range below(rows, "/api/validator/") {
				out = append(out, record(t, app.URL(), endpoint, token, when+", "+who)...)
			}
		}
	}
	for name, options := range dumps {
		dump := identitiestest.New("alice-validator-1", [32]byte{1}, options)
		for _, users := range []lister{nil, many, none} {
			app := validatorApp(t, dump, users)
			ask(app, "a dump "+name)
			app.SetFault(splicetest.Initialising)
			ask(app, "initialising")
		}
	}
	return distinct(out)
}

// below are the endpoints of the table that begin so.
func below(rows map[string]row, prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(rows)), func(e string) bool { return !strings.HasPrefix(e, prefix) })
}

func scanAnswers(t *testing.T, rows map[string]row) (out []recorded) {
	t.Helper()
	network := newNetwork(t)
	ask := func(when string) {
		for _, fault := range []splicetest.ScanFault{
			splicetest.ScanHealthy, splicetest.ScanLimits, splicetest.ScanLies, splicetest.ScanOld, splicetest.ScanLate,
		} {
			network.Scans[0].SetFault(fault)
			for _, endpoint := range below(rows, "/api/scan/") {
				out = append(out, record(t, network.Scans[0].URL(), endpoint, "", strings.TrimSpace(when+" "+string(fault)))...)
			}
		}
	}
	ask("at first")
	network.Announce(time.Now().Add(time.Hour))
	ask("before an upgrade")
	network.Upgrade()
	ask("after an upgrade")
	network.Retire()
	ask("after the old sequencers have gone")
	return distinct(out)
}

func newNetwork(t *testing.T) *splicetest.Network {
	t.Helper()
	network, err := (&splicetest.Node{Synchronizer: "global-domain::1220" + strings.Repeat("ab", 32)}).StartNetwork(2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = network.Close() })
	return network
}

// distinct leaves out answers that say the same of the same endpoint.
func distinct(all []recorded) (out []recorded) {
	seen := map[recorded]bool{}
	for _, a := range all {
		key := a
		key.When = ""
		if !seen[key] {
			seen[key] = true
			out = append(out, a)
		}
	}
	return out
}

// The vendor's clients find what they ask for where the imitations have it.
func TestTheVendorsHTTPClientsAskTheImitatedApps(t *testing.T) {
	dump := identitiestest.New("alice-validator-1", [32]byte{1}, identitiestest.Options{})
	app := validatorApp(t, dump, nil)
	network := newNetwork(t)
	network.Announce(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))
	paths := map[string][]string{
		"validator": {
			"/v0/admin/participant/identities", "/v0/admin/users", "/v0/validator-user", "/v0/admin/transfer-preapprovals",
		},
		"scan": {"/version", "/v0/dso-sequencers", "/v0/active-synchronizer-serial", "/v0/dso"},
	}
	ask := func(token string) (got map[string]struct{ Answer, Refusal json.RawMessage }) {
		run(t, "http.mjs", map[string]any{
			"validator": app.URL() + "/api/validator", "scan": network.Scans[0].URL() + "/api/scan",
			"token": token, "paths": paths,
		}, &got)
		return got
	}
	got := ask(splicetest.UnsafeToken(splicetest.LedgerUser, splicetest.DefaultAudience))
	for what, want := range map[string]string{
		"validator /v0/admin/participant/identities": string(dump.JSON),
		"validator /v0/admin/users":                  `{"usernames": ["` + splicetest.LedgerUser + `"]}`,
		"validator /v0/validator-user": `{"party_id": "` + dump.ParticipantID + `", "featured": false,
			"user_name": "` + splicetest.LedgerUser + `"}`,
		"scan /version": `{"version": "` + splicetest.SpliceVersion + `",
			"commit_ts": "2026-03-01T08:00:00Z"}`,
		"scan /v0/active-synchronizer-serial": `{"serial": 5}`,
	} {
		if !equalJSON(t, string(got[what].Answer), want) {
			t.Errorf("%s: %s %s\nwant %s", what, got[what].Answer, got[what].Refusal, want)
		}
	}
	for _, what := range []string{"validator /v0/admin/transfer-preapprovals", "scan /v0/dso"} { // not imitated
		if len(got[what].Answer) > 0 || !strings.Contains(string(got[what].Refusal), "could not be found") {
			t.Errorf("%s: %s", what, got[what].Answer)
		}
	}
	refused := ask("")["validator /v0/admin/users"].Refusal
	if !strings.Contains(string(refused), "requires authentication") {
		t.Errorf("without a token: %s", refused)
	}
}

func equalJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(want), &b); err != nil {
		t.Fatal(err)
	}
	return json.Unmarshal([]byte(got), &a) == nil && reflect.DeepEqual(a, b)
}
