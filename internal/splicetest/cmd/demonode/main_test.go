package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
)

func TestDemonodeSaysWhereItIsAndEndsWithItsInput(t *testing.T) {
	stdin, closeStdin := io.Pipe()
	stdout, said := io.Pipe()
	done := make(chan error, 1)
	go func() {
		o := options{
			node:     splicetest.NodeOptions{App: true, TCP: true},
			app:      splicetest.AppOptions{Audience: "https://demo.example.com"},
			load:     splicetest.Load{Reconnect: true},
			output:   "json",
			untilEOF: true,
		}
		err := run(t.Context(), o, stdin, said)
		_ = said.CloseWithError(io.EOF)
		done <- err
	}()
	var facts map[string]string
	if err := json.NewDecoder(stdout).Decode(&facts); err != nil {
		t.Fatal(err, <-done)
	}
	if end, err := splicetest.LedgerEnd(t.Context(), facts["participant_tcp_dsn"]); err != nil || end < 100 {
		t.Errorf("ledger end %d %v", end, err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		facts["validator_url"]+"/api/validator/v0/admin/participant/identities", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+facts["token"])
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); !strings.Contains(string(body), facts["participant_id"]) {
		t.Errorf("%d %.100s", response.StatusCode, body)
	}
	_ = closeStdin.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := splicetest.LedgerEnd(context.Background(), facts["participant_dsn"]); err == nil {
		t.Error("the node's database outlives it")
	}
}

func TestEnvLinesAreQuoted(t *testing.T) {
	if err := run(t.Context(), options{output: "xml"}, nil, nil); err == nil {
		t.Error("an unknown output is accepted")
	}
	var out bytes.Buffer
	if err := printFacts(&out, "env", []fact{{"a_b", "it's"}}); err != nil ||
		out.String() != "DEMO_A_B='it'\\''s'\n" {
		t.Errorf("%q %v", out.String(), err)
	}
}
