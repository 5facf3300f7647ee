package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"holdfast"
)

// Endpoint answers requests at one address.
type Endpoint struct {
	// Alive and Ready list what is not as it should be, one line each; none is
	// good.
	Alive, Ready func() []string
	Metrics      http.Handler
	Page         http.Handler // at /; nil without one
}

// Handler answers every request.
func (e Endpoint) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", state(e.Alive))
	mux.Handle("GET /readyz", state(e.Ready))
	mux.Handle("GET /metrics", e.Metrics)
	if e.Page != nil {
		mux.Handle("/", e.Page)
	}
	return mux
}

// state answers 200 and "ok", or 503 and what is wrong.
func state(wrong func() []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		list := wrong()
		if len(list) == 0 {
			_, _ = fmt.Fprintln(w, "ok")
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, strings.Join(list, "\n"))
	})
}

// Bounds of a request, so that whoever opens connections and says nothing holds
// none of them. An answer may be an endless stream of events; its handler bounds
// itself.
const (
	headerTime = 10 * time.Second
	idleTime   = 2 * time.Minute
	headerSize = 64 << 10
	farewell   = 3 * time.Second // for answers under way when the service ends
)

// Listen opens the address.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage, What: "listen on " + address, Err: err,
			Why: "Without it there are no metrics and no health.",
			Do:  "Find what has the port: `ss -ltnp`. Or set another address: `http.listen`.",
		}
	}
	return l, nil
}

// Serve answers what arrives at the listener until the context ends.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, ReadTimeout: headerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: headerSize,
		BaseContext:    func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		if s.Shutdown(last) != nil {
			_ = s.Close()
		}
	}()
	err := s.Serve(l)
	if !errors.Is(err, http.ErrServerClosed) {
		return &holdfast.Problem{Class: holdfast.Failed, What: "answer requests at " + l.Addr().String(), Err: err}
	}
	<-stopped
	return nil
}
