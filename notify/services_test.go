package notify_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/notify"
)

// inbox is the other end of every service: it answers as each of them does, and
// keeps what it was sent.
type inbox struct {
	mu     sync.Mutex
	got    []string
	status int
}

// answers are what a service says when it took a message, by a part of its address;
// others say nothing.
var answers = []struct{ part, text string }{
	{"hooks.slack.com", "ok"},
	{"slack.com/api", `{"ok":true}`},
	{"/login GET", `{"flows":[{"type":"m.login.password"}]}`},
	{"/login", `{"access_token":"token","user_id":"@u:x"}`},
	{"/_matrix", `{"joined_rooms":["!a:x"],"event_id":"1"}`},
	{"/message", `{"id":1}`},
	{"/push", `{"code":200}`},
	{"/topic", `{"id":"1"}`},
	{"pagerduty", `{"status":"success"}`},
	{"opsgenie", `{"result":"Request will be processed"}`},
	{"pushover", `{"status":1}`},
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	text, err := url.QueryUnescape(string(body))
	if err != nil {
		text = string(body)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	where := r.Host + r.URL.Path + " " + r.Method
	i.got = append(i.got, where+" "+r.Header.Get("Title")+" "+text)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(i.status)
	if i.status >= http.StatusBadRequest {
		return
	}
	for _, a := range answers {
		if strings.Contains(where, a.part) {
			_, _ = io.WriteString(w, a.text)
			return
		}
	}
}

// services are an address of each service that docs/notices.md names, with HOST for
// what an operator runs himself.
var services = map[string]string{
	"Slack, a hook": "slack://hook:T0000000A-B0000000B-cccccccccccccccccccccccc@webhook",
	"Slack, a bot":  "slack://xoxb:123456789012-1234567890123-4mt0t4l1YL3g1T5L4cK70k3N@C001CH4NN3L",
	"Discord":       "discord://token@123456789",
	"Teams":         "teams://11111111-4444-4444-8444-cccccccccccc@22222222-4444-4444-8444-cccccccccccc/33333333012222222222333333333344/44444444-4444-4444-8444-cccccccccccc/V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05?host=test.webhook.office.com",
	"Matrix":        "matrix://user:password@HOST/?disabletls=yes&rooms=!a:x",
	"Mattermost":    "mattermost://HOST/tokentokentoken/channel?disabletls=yes",
	"Rocket.Chat":   "rocketchat://chat.example.com/tokenA/tokenB/@user",
	"Zulip":         "zulip://bot%40zulip.example.com:botkey@zulip.example.com?stream=ops&topic=holdfast",
	"Google Chat":   "googlechat://chat.googleapis.com/v1/spaces/FOO/messages?key=bar&token=baz",
	"PagerDuty":     "pagerduty:///eb243592faa24ba2a5511afdf565c889",
	"Opsgenie":      "opsgenie://api.opsgenie.com/eb243592-faa2-4ba2-a551-1afdf565c889",
	"ntfy":          "ntfy://HOST/topic?scheme=http",
	"Gotify":        "gotify://HOST/AzyoeNS.D4iJLVa?disabletls=yes",
	"Pushover":      "pushover://shoutrrr:tokentokentoken@usertoken",
	"Bark":          "bark://:devicekey@HOST?scheme=http",
	"Telegram":      "telegram://110201543:token-of-a-bot-of-35-characters-aaaaa@telegram?chats=@ops",
	"any web hook":  "http://HOST/hook",
}

// Each service gets title and text; one that refuses a message, or cannot be reached,
// is never taken for one that has it.
func TestEveryService(t *testing.T) {
	in := new(inbox)
	server := httptest.NewServer(in)
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	reachable := stand(t, in)
	for name, address := range services {
		t.Run(name, func(t *testing.T) {
			in.got, in.status = nil, http.StatusOK
			reachable(true)
			switch name {
			case "Discord":
				in.status = http.StatusNoContent
			case "PagerDuty", "Opsgenie":
				in.status = http.StatusAccepted
			}
			s, _ := sender(strings.Replace(address, "HOST", host, 1))
			if err := s.Send(t.Context(), notify.Message{Title: "demo: problem", Text: "the backup failed"}); err != nil {
				t.Errorf("%v; sent: %q", err, in.got)
			}
			sent := strings.Join(in.got, "\n")
			for _, want := range []string{"demo: problem", "the backup failed"} {
				if !strings.Contains(sent, want) {
					t.Errorf("without %q: %s", want, sent)
				}
			}
			refusals := splicetest.Some(1, http.StatusForbidden, http.StatusInternalServerError)
			if name != "Discord" { // of which the library tries the second again, until its time is over
				refusals = []int{http.StatusForbidden, http.StatusInternalServerError}
			}
			for _, in.status = range refusals {
				if err := s.Send(t.Context(), notify.Message{Title: "title", Text: "text"}); err == nil {
					t.Errorf("a message refused by %d passes as delivered", in.status)
				}
			}
			reachable(false)
			s, _ = sender(strings.Replace(address, "HOST", "127.0.0.1:1", 1))
			if err := s.Send(t.Context(), notify.Message{Title: "title", Text: "text"}); err == nil {
				t.Error("a message without a connection passes as delivered")
			}
		})
	}
}

// stand puts the inbox in the place of the network, which can be taken away.
func stand(t *testing.T, in *inbox) (reachable func(bool)) {
	t.Helper()
	gone := false
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	http.DefaultTransport = carrier(func(r *http.Request) (*http.Response, error) {
		if gone {
			return nil, errors.New("no route to host")
		}
		at := r.Clone(r.Context())
		at.Host = r.URL.Host
		if at.Body == nil {
			at.Body = http.NoBody
		}
		answer := httptest.NewRecorder()
		in.ServeHTTP(answer, at)
		out := answer.Result()
		out.Request = r
		return out, nil
	})
	return func(yes bool) { gone = !yes }
}

// What is wrong with a node opens one incident, which is closed when all is well.
func TestAnIncidentIsClosed(t *testing.T) {
	in := &inbox{status: http.StatusAccepted}
	stand(t, in)
	s, _ := sender(services["PagerDuty"])
	for _, resolved := range []bool{false, false, true} {
		m := notify.Message{Title: "demo: problem", Text: "the backup failed", Incident: "demo", Resolved: resolved}
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []string{`"trigger"`, `"trigger"`, `"resolve"`} {
		if !strings.Contains(in.got[i], `"event_action":`+want) || !strings.Contains(in.got[i], `"dedup_key":"holdfast demo"`) {
			t.Errorf("event %d is no %s of this incident: %s", i+1, want, in.got[i])
		}
	}
}
