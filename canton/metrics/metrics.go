package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"holdfast"
	"holdfast/grace"
	"holdfast/observed"
)

// The series.
const (
	// A gauge of the participant, in microseconds since 1970.
	lastSequenced = "daml_sequencer_client_handler_last_sequencing_time_micros"
	// A gauge of each store of the validator app, in milliseconds since 1970.
	lastSeen = "splice_store_last_seen_record_time_ms"
)

// Client reads endpoints. The zero value is usable.
type Client struct {
	HTTP    *http.Client
	Timeout time.Duration // of one endpoint; 10 s if 0
}

// Read reads the endpoints one after the other, such as
// http://participant:10013/metrics, and combines their values. It fails when one
// of them does not answer, or when none has any of the series.
func (c Client) Read(ctx context.Context, urls []string) (observed.Metrics, error) {
	var out observed.Metrics
	for _, address := range urls {
		if err := c.read(ctx, address, &out); err != nil {
			return observed.Metrics{}, &holdfast.Problem{
				Class: holdfast.Unreachable,
				What:  "cannot read metrics from " + address,
				Err:   err,
				Do: "Check the address in `check.metrics`: " +
					"port 10013 of the participant and of the validator app, path /metrics.",
			}
		}
	}
	if out.LastSequenced.IsZero() && out.LastSeen.IsZero() {
		return out, &holdfast.Problem{
			Class: holdfast.Undetermined,
			What:  fmt.Sprintf("%s has neither %s nor %s", strings.Join(urls, ", "), lastSequenced, lastSeen),
			Do:    "Name the endpoints of the participant and of the validator app in `check.metrics`.",
		}
	}
	return out, nil
}

func (c Client) read(ctx context.Context, address string, out *observed.Metrics) error {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := grace.Within(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return errors.Unwrap(err) // without method and address, which the caller names
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	err = parse(response.Body, out)
	if ctx.Err() != nil { // in the middle of the answer
		return context.Cause(ctx)
	}
	return err
}

// largest is the size limit of an answer; real ones have a few megabytes.
const largest = 64 << 20

func parse(in io.Reader, out *observed.Metrics) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(in, largest))
	if err != nil {
		return errors.New("the answer is not in the text format of Prometheus")
	}
	newest(families[lastSequenced], &out.LastSequenced, time.UnixMicro)
	newest(families[lastSeen], &out.LastSeen, time.UnixMilli)
	return nil
}

// newest sets at to the latest time of a family's gauges. A gauge that was never
// set is 0, and not a time.
func newest(f *dto.MetricFamily, at *time.Time, from func(int64) time.Time) {
	for _, m := range f.GetMetric() {
		value := m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		if t := from(int64(value)).UTC(); value > 0 && t.After(*at) {
			*at = t
		}
	}
}
