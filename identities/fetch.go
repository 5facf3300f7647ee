package identities

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"holdfast"
	"holdfast/event"
)

// Where the apps export identities, and say that they are ready.
const (
	ReadyPath          = "/api/validator/readyz"
	ValidatorPath      = "/api/validator/v0/admin/participant/identities"
	SuperValidatorPath = "/api/sv/v0/admin/domain/identities-dump"
)

// Fetcher fetches the identities dump from a running validator app. Only BaseURL
// and Tokens are required.
type Fetcher struct {
	BaseURL string // such as http://wallet.localhost or http://validator-app:5003
	Tokens  Tokens

	Path    string        // ValidatorPath if empty
	Address string        // host:port to dial instead of the URL's host; .localhost names use 127.0.0.1
	CA      []byte        // PEM certificates, trusted in addition to the system's
	Timeout time.Duration // of one request; 30 s if 0
	// Dial connects to an app that no address reaches, such as one in a container
	// that publishes no port; nil: as usual.
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Attempts int // while the app starts or is unreachable; 6 if 0, half a minute in all

	Events event.Listener

	// Sleep waits between attempts; a timer if nil.
	Sleep func(ctx context.Context, d time.Duration) error
}

const (
	defaultAttempts = 6
	firstPause      = time.Second
	longestPause    = 30 * time.Second
)

// Fetch returns the dump's JSON as the app sent it, if it parses as a dump. It
// tries again while the app does not answer or is starting: a starting app has
// no admin routes yet and answers 404.
func (f Fetcher) Fetch(ctx context.Context) ([]byte, error) {
	u, client, err := f.reach(f.path())
	if err != nil {
		return nil, err
	}
	attempts, sleep := f.Attempts, f.Sleep
	if attempts <= 0 {
		attempts = defaultAttempts
	}
	if sleep == nil {
		sleep = wait
	}
	pause := firstPause
	for n := 1; ; n++ {
		data, err := f.attempt(ctx, client, u)
		if without := f.withoutRoute(ctx, client, u, err); without != nil {
			return nil, without
		}
		if err == nil || holdfast.ClassOf(err) != holdfast.Unreachable || n == attempts {
			return data, err
		}
		f.Events.Report(FetchRetried{Try: n, Err: err, Pause: pause})
		switch stopped := sleep(ctx, pause); {
		case errors.Is(stopped, context.Canceled):
			return nil, fmt.Errorf("fetch identities: %w", stopped)
		case stopped != nil:
			return nil, err // out of time: the cause of the missing answer is more useful
		}
		pause = min(2*pause, longestPause)
	}
}

func (f Fetcher) path() string {
	if f.Path == "" {
		return ValidatorPath
	}
	return f.Path
}

// withoutRoute is the error of an app that is ready and does not have the route:
// a release that exports no identities, which waiting does not change.
func (f Fetcher) withoutRoute(ctx context.Context, client *http.Client, u *url.URL, err error) error {
	if !errors.As(err, new(*noRoute)) {
		return nil
	}
	ready, _, failed := f.reach(ReadyPath)
	if failed != nil {
		return nil
	}
	req, failed := http.NewRequestWithContext(ctx, http.MethodGet, ready.String(), nil)
	if failed != nil {
		return nil
	}
	response, failed := client.Do(req)
	if failed != nil {
		return nil
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "identities from " + u.Redacted() + ": status 404, and the validator app is ready: its release has no such route",
		Why:   whyDump,
		Do: "Export the identities as that release documents it, and name the file: `identities.file: PATH` in holdfast.yaml. " +
			"If the address leads somewhere else, correct `identities.url`.",
	}
}

// attempt tries each token once. Only a refused token leads to the next one. If
// all are refused, the error is that of the first one, which current releases
// would have accepted.
func (f Fetcher) attempt(ctx context.Context, client *http.Client, u *url.URL) ([]byte, error) {
	tokens, err := f.Tokens.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var first error
	var users []string
	for _, token := range tokens {
		data, err := request(ctx, client, u, token)
		if err == nil || holdfast.ClassOf(err) != holdfast.WrongKey {
			return data, err
		}
		if first == nil {
			first = err
		} else {
			users = append(users, claimsOf(token).user)
		}
	}
	if p := new(holdfast.Problem); len(users) > 0 && errors.As(first, &p) {
		p.What += "; also refused: " + brief(strings.Join(users, ", "))
	}
	if first == nil {
		return nil, &holdfast.Problem{
			Class: holdfast.WrongKey,
			What:  "there is no token for the validator app",
			Why:   whyToken,
		}
	}
	return nil, first
}

// request makes one request.
func request(ctx context.Context, client *http.Client, u *url.URL, token holdfast.Secret) ([]byte, error) {
	what := "identities from " + u.Redacted()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token.Reveal())
	req.Header.Set("Accept", "application/json")
	response, err := client.Do(req)
	if err != nil {
		return nil, unreachable(what, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		const enough = 64 << 10
		body, _ := read(what, response.Body, enough) // only for the explanation
		return nil, explain(what, response, body, token)
	}
	data, err := read(what, response.Body, MaxSize)
	if err != nil {
		return nil, err
	}
	if _, err := Parse(data); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return data, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
