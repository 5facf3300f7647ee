package secretmanager

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"
)

// CallTime is how long one call may take, its repetitions included.
const CallTime = 15 * time.Second

// caller makes calls with JSON in both directions.
type caller struct {
	client *http.Client
	within time.Duration
}

// request is one call.
type request struct {
	method string
	url    string
	header http.Header
	body   any // encoded as JSON; nil: none
	sign   func(ctx context.Context, r *http.Request, body []byte) error
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
}

func newCaller(within time.Duration, config *tls.Config) caller {
	if within <= 0 {
		within = CallTime
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck,forcetypeassert // it is one
	transport.TLSClientConfig = config
	return caller{client: &http.Client{Transport: transport, CheckRedirect: sameServer}, within: within}
}

// sameServer follows a redirect only to where a credential may go: as safe as
// before, and not for long.
func sameServer(to *http.Request, via []*http.Request) error {
	first := via[0].URL
	if to.URL.Scheme != first.Scheme || to.URL.Hostname() != first.Hostname() || len(via) > 2 {
		return http.ErrUseLastResponse
	}
	return nil
}

// trusting is how TLS trusts: the system's certificates, and those in a file.
func trusting(file string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file == "" {
		return config, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if config.RootCAs, err = x509.SystemCertPool(); err != nil {
		config.RootCAs = x509.NewCertPool()
	}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificates in PEM", file)
	}
	return config, nil
}

// errLate says that a call took too long.
var errLate = errors.New("it did not answer in time")

// do makes a call, and repeats it while the other side is busy. An answer of any
// status is no error.
func (c caller) do(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.within, errLate)
	defer cancel()
	const tries = 3
	for n := 1; ; n++ {
		got, err := c.once(ctx, r)
		if ctx.Err() != nil && err != nil {
			return answer{}, context.Cause(ctx)
		}
		if err != nil || n == tries || !busy(got.status) {
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, nil
		case <-time.After(time.Duration(n) * pause):
		}
	}
}

const pause = 300 * time.Millisecond

// busy reports whether the same call may do well a little later. 503 is not one:
// a sealed Vault says so.
func busy(status int) bool {
	return status == http.StatusTooManyRequests || status == http.StatusBadGateway ||
		status == http.StatusGatewayTimeout
}

func (c caller) once(ctx context.Context, r request) (answer, error) {
	var body []byte
	var err error
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return answer{}, err
		}
	}
	out, err := http.NewRequestWithContext(ctx, r.method, r.url, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	out.Header.Set("Accept", "application/json")
	if r.body != nil {
		out.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		out.Header[name] = values
	}
	if r.sign != nil {
		if err := r.sign(ctx, out, body); err != nil {
			return answer{}, err
		}
	}
	in, err := c.client.Do(out)
	if err != nil {
		return answer{}, withoutURL(err)
	}
	defer func() { _ = in.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(in.Body, most))
	return answer{in.StatusCode, text}, err
}

// most is the most that is read of an answer.
const most = 8 << 20

// withoutURL is an error of a client without the address, which the problem
// names.
func withoutURL(err error) error {
	if e := new(url.Error); errors.As(err, &e) {
		return e.Err
	}
	return err
}

// ok reports whether the call did what it was for.
func (a answer) ok() bool { return a.status/100 == 2 }

// into decodes an answer.
func (a answer) into(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("its answer is no JSON (status %d)", a.status)
	}
	return nil
}

// fetch sends a request and reads the answer into a value. A refusal is explained
// by who knows the manager.
func (c caller) fetch(ctx context.Context, what string, r request, into any, explain func(answer) error) error {
	got, err := c.do(ctx, r)
	if err == nil && !got.ok() {
		return explain(got)
	}
	if err == nil {
		err = got.into(into)
	}
	if err != nil {
		return unreachable(what, err)
	}
	return nil
}
