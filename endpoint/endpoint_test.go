package endpoint_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast"
	"holdfast/endpoint"
)

func answer(h http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w.Code, strings.TrimSpace(w.Body.String())
}

func page(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
}

func TestPaths(t *testing.T) {
	var missing []string
	e := endpoint.Endpoint{
		Alive: func() []string { return nil }, Ready: func() []string { return missing }, Metrics: page("numbers"),
	}
	for _, c := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "/healthz", 200, "ok"}, {"GET", "/readyz", 200, "ok"}, {"GET", "/metrics", 200, "numbers"},
		{"HEAD", "/healthz", 200, "ok"},
		{"POST", "/healthz", 405, "Method Not Allowed"}, {"GET", "/", 404, "404 page not found"},
	} {
		if code, text := answer(e.Handler(), c.method, c.path); code != c.code || text != c.text {
			t.Errorf("%s %s: %d %q", c.method, c.path, code, text)
		}
	}
	missing = []string{"node-1: the repository was not read yet", "node-2: the same"}
	if code, text := answer(e.Handler(), "GET", "/readyz"); code != 503 || text != strings.Join(missing, "\n") {
		t.Errorf("%d %q", code, text)
	}
	e.Page = page("hello")
	for path, want := range map[string]string{"/": "hello", "/sets/1": "hello", "/metrics": "numbers"} {
		if _, text := answer(e.Handler(), "GET", path); text != want {
			t.Errorf("%s: %q", path, text)
		}
	}
}

// It ends with its context, also while an answer has no end.
func TestItEnds(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	l, err := endpoint.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		ended <- endpoint.Serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
	}()
	answer, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := endpoint.Listen(ctx, l.Addr().String()); holdfast.ClassOf(err) != holdfast.Usage ||
		!strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a port that is taken: %v", err)
	}
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
