package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
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
		if err := s.Send(t.Context(), "demo: problem", "line 1\nline 2"); err != nil {
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
	if err := s.Send(t.Context(), "demo: problem", "the backup failed"); err != nil {
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
		ctx, cancel := context.WithCancel(t.Context())
		if strings.HasPrefix(address, "slack") || strings.HasPrefix(address, "discord") || strings.HasPrefix(address, "telegram") {
			cancel() // nothing leaves this machine
		}
		err := s.Send(ctx, "title", "text")
		cancel()
		if err == nil || strings.Contains(err.Error(), "veryverysecret") {
			t.Errorf("%s: %v", address, err)
		}
	}
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
