package scan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"holdfast"
	"holdfast/grace"
	"holdfast/observed"
)

// A Scan belongs to somebody else, who may publish anything. The main network has
// fewer than fifty super validators, with two serials after an upgrade.
const (
	largest        = 4 << 20 // bytes of one answer
	mostSequencers = 1000    // in one Scan's list
	mostProbes     = 128     // URLs that are tried, of all Scans
	probesAtOnce   = 32      // so that URLs that never answer take less than a check's patience
)

// Client queries Scans. The zero value is usable.
type Client struct {
	HTTP    *http.Client  // nil: the default transport, without redirects
	Timeout time.Duration // of one request; 10 s if 0
	Now     func() time.Time
	Probe   *int // try the sequencers of this serial, unless every Scan reports it as in use; nil: none
}

// Ask queries the Scans at those addresses, such as
// https://scan.sv-1.example.com, in parallel. The views are in the order of the
// addresses; the view of a Scan that did not answer holds the reason.
func (c Client) Ask(ctx context.Context, urls []string) []observed.Scan {
	if c.HTTP == nil {
		noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		c.HTTP = &http.Client{CheckRedirect: noRedirects}
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	views := make([]observed.Scan, len(urls))
	var g errgroup.Group
	for i, address := range urls {
		g.Go(func() error {
			views[i] = c.look(ctx, address)
			return nil
		})
	}
	_ = g.Wait()
	if c.Probe != nil && slices.ContainsFunc(views, func(v observed.Scan) bool {
		serial, ok := v.Serial.Get()
		return ok && serial != *c.Probe
	}) {
		c.probe(ctx, views)
	}
	return views
}

// look queries one Scan. When the Scan limits the rate, no further request is
// sent: it would only extend the limit.
func (c Client) look(ctx context.Context, address string) observed.Scan {
	v := observed.Scan{URL: strings.TrimRight(address, "/")}
	base, err := baseOf(address)
	if err != nil {
		unknown(&v, err.Error())
		return v
	}
	q := &requests{Client: c, ctx: ctx, base: base}
	var version struct {
		Version string `json:"version"`
	}
	err = q.get("/version", &version)
	v.Version, v.Clock = holdfast.Observe(version.Version, err), q.clock
	var names struct {
		Network string `json:"network_name"`
	}
	err = q.get("/v0/splice-instance-names", &names)
	v.Network = holdfast.Observe(names.Network, err)
	v.Sequencers = holdfast.Observe(q.sequencers())
	v.Serial = holdfast.Observe(q.serial(v.Sequencers))
	v.Upgrade = holdfast.Observe(q.upgrade())
	return v
}

func unknown(v *observed.Scan, why string) {
	v.Clock = holdfast.Unknown[time.Duration](why)
	v.Version = holdfast.Unknown[string](why)
	v.Network = holdfast.Unknown[string](why)
	v.Serial = holdfast.Unknown[int](why)
	v.Sequencers = holdfast.Unknown[[]observed.Sequencer](why)
	v.Upgrade = holdfast.Unknown[observed.Upgrade](why)
}

func baseOf(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%q is not an http or https address", address)
	}
	if !strings.Contains(u.Path, "/api/scan") {
		u = u.JoinPath("/api/scan")
	}
	return u, nil
}

// requests are those to one Scan.
type requests struct {
	Client
	ctx   context.Context
	base  *url.URL
	clock holdfast.Observed[time.Duration]
	stop  error // why no further request is sent
}

// status is an answer other than 200.
type status int

func (s status) Error() string {
	switch int(s) {
	case http.StatusTooManyRequests:
		return "it limits the request rate (429)"
	case http.StatusNotFound:
		return "it does not know this request (404): its release is too old, or it is not a Scan"
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fmt.Sprintf("it is not available (%d)", int(s))
	}
	return fmt.Sprintf("status %d", int(s))
}

// get sends one request. The first answer with a date also sets the Scan's
// clock.
func (q *requests) get(path string, into any) error {
	if q.stop != nil {
		return q.stop
	}
	ctx, cancel := grace.Within(q.ctx, q.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, q.base.JoinPath(path).String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	began := q.Now()
	response, err := q.HTTP.Do(request)
	if err != nil {
		q.stop = brief(err) // an unreachable Scan gets no further request
		return q.stop
	}
	defer func() { _ = response.Body.Close() }()
	q.setClock(response, began)
	if response.StatusCode != http.StatusOK {
		_, _ = io.CopyN(io.Discard, response.Body, 4<<10)
		if code := status(response.StatusCode); code == http.StatusTooManyRequests ||
			code == http.StatusServiceUnavailable {
			q.stop = code
		}
		return status(response.StatusCode)
	}
	body := &io.LimitedReader{R: response.Body, N: largest}
	err = json.NewDecoder(body).Decode(into)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil: // in the middle of the answer
		q.stop = context.Cause(ctx)
		return q.stop
	case body.N <= 0:
		return fmt.Errorf("its answer is larger than %d MiB", largest>>20)
	}
	return errors.New("its answer is not the JSON of a Scan")
}

// setClock compares the answer's date, which has no fraction of a second, with
// the middle of the request.
func (q *requests) setClock(response *http.Response, began time.Time) {
	if _, known := q.clock.Get(); known {
		return
	}
	date, err := http.ParseTime(response.Header.Get("Date"))
	if err != nil {
		return
	}
	ended := q.Now()
	middle := began.Add(ended.Sub(began) / 2)
	q.clock = holdfast.Known(date.Add(time.Second / 2).Sub(middle))
}

func brief(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err
}

// serial is that of the synchronizer in use. Releases without this request
// publish the sequencers of one serial only, except after a recent upgrade.
func (q *requests) serial(sequencers holdfast.Observed[[]observed.Sequencer]) (int, error) {
	var active struct {
		Serial *int `json:"serial"`
	}
	err := q.get("/v0/active-synchronizer-serial", &active)
	if err == nil && active.Serial != nil {
		return *active.Serial, nil
	}
	if err == nil {
		err = errors.New("its answer has no serial")
	}
	list, ok := sequencers.Get()
	if !ok || len(list) == 0 || q.stop != nil {
		return 0, err
	}
	for _, s := range list {
		if s.Serial < 0 || s.Serial != list[0].Serial {
			return 0, err
		}
	}
	return list[0].Serial, nil
}

func (q *requests) sequencers() ([]observed.Sequencer, error) {
	var answer struct {
		Synchronizers []struct {
			Sequencers []struct {
				Serial    *int       `json:"synchronizerSerial"`
				URL       string     `json:"url"`
				SV        string     `json:"svName"`
				Available *time.Time `json:"availableAfter"`
			} `json:"sequencers"`
		} `json:"domainSequencers"`
	}
	if err := q.get("/v0/dso-sequencers", &answer); err != nil {
		return nil, err
	}
	var out []observed.Sequencer
	for _, domain := range answer.Synchronizers {
		for _, s := range domain.Sequencers {
			one := observed.Sequencer{SV: s.SV, URL: s.URL, Serial: -1}
			if s.Serial != nil {
				one.Serial = *s.Serial
			}
			if s.Available != nil {
				one.Available = *s.Available
			}
			out = append(out, one)
		}
	}
	switch {
	case len(out) == 0:
		return nil, errors.New("it publishes no sequencers")
	case len(out) > mostSequencers:
		return nil, fmt.Errorf("it publishes %d sequencers, more than any network has", len(out))
	}
	return distinct(out), nil
}

// distinct leaves out repetitions of a URL and serial: what a Scan repeats counts
// once, as the conditions count how many Scans publish a URL.
func distinct(list []observed.Sequencer) []observed.Sequencer {
	type key struct {
		url    string
		serial int
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(list, func(s observed.Sequencer) bool {
		k := key{s.URL, s.Serial}
		repeated := seen[k]
		seen[k] = true
		return repeated
	})
}

func (q *requests) upgrade() (observed.Upgrade, error) {
	var answer struct {
		LSU *struct {
			At        time.Time `json:"upgradeTime"`
			Successor string    `json:"successorPhysicalSynchronizerId"`
		} `json:"lsu"`
	}
	err := q.get("/v0/lsu", &answer)
	if err != nil || answer.LSU == nil {
		return observed.Upgrade{}, err
	}
	return observed.Upgrade{At: answer.LSU.At, Successor: answer.LSU.Successor}, nil
}

// probe tries the URLs of the chosen serial once. Any HTTP answer counts, but does
// not prove that a participant may connect there.
func (c Client) probe(ctx context.Context, views []observed.Scan) {
	urls := agreedURLs(views, *c.Probe)
	reached := make([]bool, len(urls))
	var g errgroup.Group
	g.SetLimit(probesAtOnce)
	for i, address := range urls {
		g.Go(func() error {
			reached[i] = c.reach(ctx, address)
			return nil
		})
	}
	_ = g.Wait()
	for i, v := range views {
		list, ok := v.Sequencers.Get()
		if !ok {
			continue
		}
		for k, s := range list {
			at := slices.Index(urls, s.URL)
			list[k].Answers = at >= 0 && reached[at]
		}
		views[i].Sequencers = holdfast.Known(list)
	}
}

// agreedURLs are the URLs that at least two Scans publish for the serial, at most
// mostProbes. One Scan alone is not believed, and never chooses where we connect.
func agreedURLs(views []observed.Scan, serial int) []string {
	published := map[string]int{}
	var out []string
	for _, v := range views {
		list, _ := v.Sequencers.Get()
		for _, s := range list {
			if s.URL == "" || s.Serial != serial {
				continue
			}
			if published[s.URL]++; published[s.URL] == 2 && len(out) < mostProbes {
				out = append(out, s.URL)
			}
		}
	}
	return out
}

func (c Client) reach(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout, http.StatusForbidden:
		return false // a proxy answers, with nothing behind it
	}
	return true
}
