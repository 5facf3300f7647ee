package web_test

import (
	"context"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/web"
	"holdfast/web/storybook"
)

// closed is a site with a login, what it reports, and what was started.
func closed(t *testing.T) (at string, events, done *[]string) {
	t.Helper()
	stories := storybook.Stories()
	site := stories[slices.IndexFunc(stories, func(s storybook.Story) bool { return s.Name == "closed" })].Site
	events, done = new([]string), new([]string)
	site.Events = func(e event.Event) { *events = append(*events, e.String()) }
	site.Nodes[0].BackUp = func(_ context.Context, by string) error {
		*done = append(*done, "backup by "+by)
		return nil
	}
	server := httptest.NewServer(handlerOf(t, site))
	t.Cleanup(server.Close)
	return server.URL, events, done
}

// browser keeps cookies and follows nothing.
func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func post(t *testing.T, c *http.Client, at string, form url.Values, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", at, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

func fetch(t *testing.T, c *http.Client, at string) *http.Response {
	t.Helper()
	answer, err := c.Get(at) //nolint:noctx // of a test's own server
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

func login(name, password string) url.Values {
	return url.Values{"name": {name}, "password": {password}, "to": {"/nodes/validator-zrh-1/growth"}}
}

// Nobody sees anything without a login; an operator starts things, a viewer does
// not; a session ends.
func TestLogin(t *testing.T) {
	at, events, done := closed(t)
	node := at + "/nodes/validator-zrh-1/"
	for _, path := range []string{"", "timeline", "live", "sets/20261126T123000Z-b10c00b3"} {
		if r := fetch(t, browser(t), node+path); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login?to=") {
			t.Errorf("%s without a login: %d", path, r.StatusCode)
		}
	}
	ada, vic := browser(t), browser(t)
	if r := post(t, ada, at+"/login", login("ada", "wrong")); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", r.StatusCode)
	}
	if r := post(t, ada, at+"/login", login("ada", storybook.Password)); r.Header.Get("Location") != "/nodes/validator-zrh-1/growth" {
		t.Errorf("the right one: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
	post(t, vic, at+"/login", login("vic", storybook.Password))
	for _, c := range []struct {
		who  *http.Client
		code int
	}{{ada, http.StatusSeeOther}, {vic, http.StatusForbidden}, {browser(t), http.StatusUnauthorized}} {
		if r := post(t, c.who, node+"backup", nil); r.StatusCode != c.code {
			t.Errorf("back up: %d, want %d", r.StatusCode, c.code)
		}
	}
	if r := fetch(t, vic, node); r.StatusCode != http.StatusOK {
		t.Errorf("a viewer looks: %d", r.StatusCode)
	}
	post(t, ada, at+"/logout", nil)
	if r := fetch(t, ada, node); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after the logout: %d", r.StatusCode)
	}
	if !slices.Equal(*done, []string{"backup by ada"}) {
		t.Errorf("done: %v", *done)
	}
	said := strings.Join(*events, "\n")
	for _, want := range []string{"login of \"ada\" from 127.0.0.1 failed", "ada has logged in as operator", "backup, by ada on the page"} {
		if !strings.Contains(said, want) {
			t.Errorf("nothing says %q:\n%s", want, said)
		}
	}
}

// What another site's page sends is refused, whoever is logged in.
func TestOtherSites(t *testing.T) {
	at, _, done := closed(t)
	ada := browser(t)
	post(t, ada, at+"/login", login("ada", storybook.Password))
	for _, headers := range [][]string{
		{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
	} {
		if r := post(t, ada, at+"/nodes/validator-zrh-1/backup", nil, headers...); r.StatusCode != http.StatusForbidden {
			t.Errorf("%v: %d", headers, r.StatusCode)
		}
	}
	if len(*done) > 0 {
		t.Errorf("done: %v", *done)
	}
	if r := post(t, ada, at+"/nodes/validator-zrh-1/backup", nil, "Origin", at); r.StatusCode != http.StatusSeeOther {
		t.Errorf("its own page: %d", r.StatusCode)
	}
}

// Passwords are not guessed quickly, and a login leads nowhere else.
func TestGuessing(t *testing.T) {
	at, events, _ := closed(t)
	for range 6 {
		post(t, browser(t), at+"/login", login("nobody", "x"))
	}
	if r := post(t, browser(t), at+"/login", login("ada", storybook.Password)); r.StatusCode != http.StatusUnauthorized || r.Header.Get("Retry-After") == "" {
		t.Errorf("after six attempts: %d", r.StatusCode)
	}
	if !strings.Contains(strings.Join(*events, "\n"), "too many attempts") {
		t.Errorf("%v", *events)
	}
	for _, to := range []string{"https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil"} {
		at, _, _ := closed(t)
		form := login("ada", storybook.Password)
		form.Set("to", to)
		if r := post(t, browser(t), at+"/login", form); r.Header.Get("Location") != "/" {
			t.Errorf("%s: led to %s", to, r.Header.Get("Location"))
		}
	}
}

// A page without a login is for this machine, by whatever name it is called.
func TestOpenIsLocal(t *testing.T) {
	h := story(t, "calm")
	for host, code := range map[string]int{
		"localhost:8080": 200, "127.0.0.1:8080": 200, "[::1]:8080": 200, "holdfast.example.com": 421, "10.0.0.7:8080": 421,
		"localhost.example.com": 421,
	} {
		r := httptest.NewRequest("GET", "http://"+host+"/nodes/validator-zrh-1/", nil)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("%s: %d, want %d", host, w.Code, code)
		}
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/nodes/validator-zrh-1/", "/nowhere", "/api/v1/nodes"} {
		h := get(story(t, "calm"), path).Header()
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || h.Get("X-Frame-Options") != "DENY" ||
			h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v", path, h)
		}
	}
	page := get(story(t, "calm"), "/nodes/validator-zrh-1/timeline").Body.String()
	for _, never := range []string{"<script>", " style=\"", "onclick", "http://", "https://"} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %s", never)
		}
	}
}

// Access that lets nobody in, or everybody by mistake, is refused.
func TestAccessIsChecked(t *testing.T) {
	user := web.User{Name: "ada", Hash: holdfast.NewSecret("plain text"), Role: web.Operator}
	for name, a := range map[string]web.Access{
		"nobody":         {},
		"open and users": {Open: true, Users: []web.User{user}},
		"no hash":        {Users: []web.User{user}},
		"no address":     {OIDC: &web.OIDC{Issuer: "https://id.example"}},
	} {
		_, err := web.Site{Access: a}.Handler()
		if holdfast.ClassOf(err) != holdfast.Usage || err != nil && strings.Contains(err.Error(), "plain text") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A session ends an hour after its last request, and twelve hours after the login
// however often somebody looks.
func TestASessionEnds(t *testing.T) {
	for _, c := range []struct {
		name  string
		every time.Duration // between two looks
		lasts int           // looks that are let in
	}{
		{"somebody looks now and then", 59 * time.Minute, 12},
		{"somebody went away", 61 * time.Minute, 0},
	} {
		h := story(t, "closed") // outside of the bubble: what it starts for good would hold that
		synctest.Test(t, func(t *testing.T) {
			cookies := map[string]string{}
			send := func(method, path string, form url.Values) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				for name, value := range cookies {
					r.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				for _, cookie := range w.Result().Cookies() {
					cookies[cookie.Name] = cookie.Value
				}
				return w
			}
			if w := send("POST", "/login", login("vic", storybook.Password)); w.Code != http.StatusSeeOther {
				t.Fatalf("%s: the login: %d", c.name, w.Code)
			}
			looks := 0
			for time.Sleep(c.every); send("GET", "/nodes/validator-zrh-1/", nil).Code == http.StatusOK; time.Sleep(c.every) {
				looks++
			}
			if looks != c.lasts {
				t.Errorf("%s: let in %d times, want %d", c.name, looks, c.lasts)
			}
		})
	}
}

// A pin needs a reason and an end in the future.
func TestPin(t *testing.T) {
	set := "/nodes/validator-zrh-1/sets/20261126T123000Z-b10c00b3/pin"
	for form, code := range map[string]int{
		"reason=before+the+move&until=2027-01-31": 303, "reason=&until=2027-01-31": 404, "reason=x&until=2020-01-01": 404, "reason=x": 404,
	} {
		r := httptest.NewRequest("POST", "http://localhost"+set, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		story(t, "calm").ServeHTTP(w, r)
		if w.Code != code {
			t.Errorf("%s: %d", form, w.Code)
		}
	}
}
