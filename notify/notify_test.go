package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast"
	"holdfast/notify"
	"holdfast/secrets"
)

func sender(address string) (notify.Sender, *secrets.Known) {
	known := new(secrets.Known)
	return notify.Sender{
		Address: known.LearnFrom(holdfast.Fixed(holdfast.NewSecret(address))), Learn: known.Learn, Hide: known.Hide,
	}, known
}

// A web address gets JSON, with the title and the text.
func TestWebhook(t *testing.T) {
	var got map[string]string
	var path string
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_ = json.NewDecoder(r.Body).Decode(&got)
	}))
	defer hook.Close()
	for _, address := range []string{hook.URL + "/hook/alarm", strings.Replace(hook.URL, "http", "generic+http", 1) + "/hook/alarm?template=json"} {
		got = nil
		s, _ := sender(address)
		if err := s.Send(t.Context(), notify.Message{Title: "demo: problem", Text: "line 1\nline 2"}); err != nil {
			t.Fatal(err)
		}
		if got["title"] != "demo: problem" || got["message"] != "line 1\nline 2" || path != "/hook/alarm" {
			t.Errorf("%s: %v at %s", address, got, path)
		}
	}
}

// Mail: the library speaks SMTP, and the text arrives.
func TestMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	mail := make(chan string, 1)
	go serveMail(l, mail)
	s, _ := sender("smtp://" + l.Addr().String() + "/?from=holdfast@example.com&to=ops@example.com&auth=None&encryption=None&usestarttls=no")
	if err := s.Send(t.Context(), notify.Message{Title: "demo: problem", Text: "the backup failed"}); err != nil {
		t.Fatal(err)
	}
	text := <-mail
	for _, want := range []string{"Subject: demo: problem", "the backup failed", "RCPT TO:<ops@example.com>"} {
		if !strings.Contains(text, want) {
			t.Errorf("without %q:\n%s", want, text)
		}
	}
}

// serveMail takes one mail.
func serveMail(l net.Listener, mail chan<- string) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, _ = fmt.Fprint(c, "220 test\r\n")
	var text strings.Builder
	data := false
	for in := bufio.NewScanner(c); in.Scan(); {
		line := in.Text()
		text.WriteString(line + "\n")
		switch {
		case data && line != ".":
			continue
		case line == "DATA":
			data = true
			_, _ = fmt.Fprint(c, "354 go on\r\n")
			continue
		case line == "QUIT":
			_, _ = fmt.Fprint(c, "221 bye\r\n")
			mail <- text.String()
			return
		case data:
			data = false
		}
		_, _ = fmt.Fprint(c, "250 ok\r\n")
	}
}

// No error repeats an address, or a part of one.
func TestErrorsRepeatNoAddress(t *testing.T) {
	stayHere(t)
	refused := httptest.NewServer(http.NotFoundHandler())
	closed := refused.URL
	refused.Close()
	for _, address := range []string{
		closed + "/services/T0000001/B0000002/veryverysecret", closed + "/x?token=veryverysecret",
		"slack://hook:T0000001-B0000002-veryverysecretveryverys@webhook", "discord://veryverysecret@0000001",
		"telegram://110201543:veryverysecretveryverysecretveryver@telegram?chats=@ops", "nonsense://veryverysecret", "veryverysecret",
		"smtp://user:veryverysecret@127.0.0.1:1/?from=a@b.c&to=d@e.f", "generic://%zzveryverysecret",
	} {
		s, _ := sender(address)
		err := s.Send(t.Context(), notify.Message{Title: "title", Text: "text"})
		if err == nil || strings.Contains(err.Error(), "veryverysecret") || strings.Contains(err.Error(), "context canceled") {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// Telegram is reached as a web hook, for each chat, and says when it was not.
func TestTelegram(t *testing.T) {
	var asked []string
	status := http.StatusOK
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	http.DefaultTransport = carrier(func(r *http.Request) (*http.Response, error) {
		text, err := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.String()+" "+string(text))
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: http.NoBody, Request: r}, err
	})
	s, _ := sender("telegram://110201543:token-of-a-bot@telegram?chats=@ops,-1001:7")
	if err := s.Send(t.Context(), notify.Message{Title: "title", Text: "text"}); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[0], "POST https://api.telegram.org/bot110201543:token-of-a-bot/sendMessage") ||
		!strings.Contains(asked[0], `"chat_id":"@ops"`) || !strings.Contains(asked[0], `"text":"title\n\ntext"`) ||
		!strings.Contains(asked[1], `"chat_id":"-1001"`) || !strings.Contains(asked[1], `"message_thread_id":"7"`) {
		t.Errorf("asked: %q", asked)
	}
	status = http.StatusForbidden
	if err := s.Send(t.Context(), notify.Message{Title: "title", Text: "text"}); err == nil {
		t.Error("a refused message passes as delivered")
	}
}

// carrier answers requests in the place of a network.
type carrier func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// stayHere refuses every connection that would leave this machine.
func stayHere(t *testing.T) {
	t.Helper()
	before := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = before })
	http.DefaultTransport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := net.SplitHostPort(address); host != "127.0.0.1" {
			return nil, errors.New("no connection to " + address + " in a test")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
}

func TestHeartbeat(t *testing.T) {
	var calls []string
	code := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		calls = append(calls, r.URL.Path+" "+string(text))
		w.WriteHeader(code)
	}))
	h := notify.Heartbeat{Address: holdfast.Fixed(holdfast.NewSecret(server.URL + "/uuid/"))}
	for _, s := range []notify.Signal{notify.Start, notify.Success, notify.Fail} {
		if err := h.Ping(t.Context(), s, "demo"); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(calls, ","); got != "/uuid/start demo,/uuid demo,/uuid/fail demo" {
		t.Error(got)
	}
	code = http.StatusNotFound
	if err := h.Ping(t.Context(), notify.Start, ""); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
	server.Close()
	if err := h.Ping(t.Context(), notify.Start, ""); err == nil || strings.Contains(err.Error(), "uuid") {
		t.Error(err)
	}
	h.Address = holdfast.Fixed(holdfast.NewSecret("ftp://x"))
	if err := h.Ping(t.Context(), notify.Start, ""); holdfast.ClassOf(err) != holdfast.Usage {
		t.Error(err)
	}
}
