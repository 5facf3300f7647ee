package docker

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"holdfast"
)

// daemon listens at a socket and answers with a handler; nil: it takes
// connections and never answers.
func daemon(t *testing.T, handler http.Handler) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "docker-") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	listener, err := net.Listen("unix", filepath.Join(dir, "docker.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if handler != nil {
		server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
		go func() { _ = server.Serve(listener) }()
		t.Cleanup(func() { _ = server.Close() })
	}
	return "unix://" + listener.Addr().String()
}

// Every call to a daemon that takes connections and never answers ends, and says
// who does not answer.
func TestADaemonThatNeverAnswers(t *testing.T) {
	e, err := Connect(daemon(t, nil), 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"names":   func(ctx context.Context) error { _, err := e.Names(ctx); return err },
		"image":   func(ctx context.Context) error { _, _, err := e.Has(ctx, Image{Name: "x"}); return err },
		"program": func(ctx context.Context) error { _, err := e.Run(ctx, "x", nil, nil, nil, nil, "true"); return err },
		"port":    func(ctx context.Context) error { _, err := e.Dial(ctx, "x", "5432"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			err := call(t.Context())
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			var problem *holdfast.Problem
			if !errors.As(err, &problem) || problem.Class != holdfast.Unreachable ||
				!strings.Contains(err.Error(), "does not answer any more") {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// A daemon that answers a ping is at work: an answer may take longer than it may
// be silent. One that stops to answer pings is given up in the middle.
func TestADaemonAtWorkIsWaitedFor(t *testing.T) {
	const limit = 400 * time.Millisecond
	dead := make(chan struct{})
	t.Cleanup(func() { close(dead) })
	pings := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
			_, _ = io.WriteString(w, "OK")
		case strings.HasSuffix(r.URL.Path, "/wait"):
			time.Sleep(4 * limit)
			_, _ = io.WriteString(w, `{"StatusCode": 0}`)
		default:
			<-dead
		}
	})
	e, err := Connect(daemon(t, pings), limit)
	if err != nil {
		t.Fatal(err)
	}
	wait := e.API.ContainerWait(t.Context(), "x", client.ContainerWaitOptions{})
	select {
	case r := <-wait.Result:
		if r.StatusCode != 0 {
			t.Errorf("it ended with %d", r.StatusCode)
		}
	case err := <-wait.Error:
		t.Errorf("it was given up: %v", err)
	}
}

// A program in a container is given up when its daemon falls silent in the middle
// of what it says, and is let go at once by whoever is told to end.
func TestAProgramInAContainerThatFallsSilent(t *testing.T) {
	const limit = 400 * time.Millisecond
	said, dead := make(chan struct{}, 2), make(chan struct{})
	t.Cleanup(func() { close(dead) })
	half := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.44")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping") && len(said) == 0:
			_, _ = io.WriteString(w, "OK")
		case strings.HasSuffix(r.URL.Path, "/exec"):
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"Id": "program"}`)
		case strings.HasSuffix(r.URL.Path, "/start"):
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"+
				"\x01\x00\x00\x00\x00\x00\x00\x04half")
			said <- struct{}{}
			<-dead
		default:
			<-dead
		}
	})
	for name, told := range map[string]bool{"given up": false, "told to end": true} {
		t.Run(name, func(t *testing.T) {
			for len(said) > 0 {
				<-said
			}
			patience := limit
			if told {
				patience = time.Minute
			}
			e, err := Connect(daemon(t, half), patience)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, errors.New("it was not given up"))
			defer cancel()
			began := time.Now()
			if told {
				time.AfterFunc(2*limit, cancel)
			}
			var out strings.Builder
			_, err = e.Run(ctx, "x", nil, nil, &out, nil, "pg_dump")
			if took := time.Since(began); took > 20*time.Second || out.String() != "half" {
				t.Errorf("it took %v, after %q", took, &out)
			}
			var problem *holdfast.Problem
			switch {
			case told && !errors.Is(err, context.Canceled):
				t.Errorf("the error is %v", err)
			case !told && (!errors.As(err, &problem) || problem.Class != holdfast.Unreachable ||
				!strings.Contains(err.Error(), "does not answer any more")):
				t.Errorf("the error is %v", err)
			}
		})
	}
}
