package metrics_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/canton/metrics"
)

func TestWhatAnEndpointTells(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	full := fmt.Sprintf("# TYPE daml_sequencer_client_handler_last_sequencing_time_micros gauge\n"+
		"daml_sequencer_client_handler_last_sequencing_time_micros{node=\"participant\"} %d\n"+
		"daml_sequencer_client_handler_last_sequencing_time_micros{node=\"old\"} 0\n"+
		"splice_store_last_seen_record_time_ms{store_name=\"a\"} %d\n"+
		"splice_store_last_seen_record_time_ms{store_name=\"b\"} %d\n", at.UnixMicro(),
		at.Add(-time.Hour).UnixMilli(), at.Add(-time.Minute).UnixMilli())
	for name, c := range map[string]struct {
		body string
		code int
		want string
	}{
		"both":        {full, 200, ""},
		"others":      {"jvm_threads 42\n", 200, "has neither"},
		"a web page":  {"<html>", 200, "not in the text format"},
		"unavailable": {"", 503, "503"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.code)
				_, _ = w.Write([]byte(c.body))
			}))
			defer server.Close()
			m, err := metrics.Client{}.Read(t.Context(), []string{server.URL + "/metrics"})
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("%v does not say %q", err, c.want)
				}
				return
			}
			if err != nil || !m.LastSequenced.Equal(at) || !m.LastSeen.Equal(at.Add(-time.Minute)) {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	if _, err := (metrics.Client{}).Read(t.Context(), []string{"http://127.0.0.1:1/metrics"}); err == nil {
		t.Error("an endpoint that does not exist returned something")
	}
}
