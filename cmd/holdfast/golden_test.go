package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cmdGolden compares the shape of a JSON document on standard output with a
// golden file: keys and constant values, with the first element of each list
// and without what changes from run to run.
func cmdGolden(ts *testscript.TestScript, _ bool, args []string) {
	stream := "stdout"
	if len(args) == 2 {
		stream = args[1]
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(stream)), &value))
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	ts.Check(encoder.Encode(scrub("", value, ts.Getenv("WORK"))))
	file := filepath.Join(goldenDir, args[0])
	if *update {
		ts.Check(os.WriteFile(file, got.Bytes(), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	ts.Check(err)
	if !bytes.Equal(got.Bytes(), want) {
		ts.Fatalf("the document has another shape than %s:\n%s", args[0], got.String())
	}
}

var goldenDir, _ = filepath.Abs("testdata")

// volatile is what is replaced in strings, in this order.
var volatile = []struct {
	pattern *regexp.Regexp
	by      string
}{
	{regexp.MustCompile(`\d{8}T\d{6}Z-[0-9a-f]{8}`), "SET"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)`), "TIME"},
	{regexp.MustCompile(`1220[0-9a-f]{64}`), "FINGERPRINT"},
	{regexp.MustCompile(`ssh-ed25519 [0-9A-Za-z+/=]+`), "SSHKEY"},
	{regexp.MustCompile(`age1[0-9a-z]{50,}`), "RECIPIENT"},
	{regexp.MustCompile(`identities-[^/]*\.json\.age`), "identities-NAME.json.age"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "URL"},
	{regexp.MustCompile(`^[0-9A-F]+/[0-9A-F]+$`), "LSN"},
	{regexp.MustCompile(`[0-9a-f]{16,}`), "HEX"},
	{regexp.MustCompile(`/[^' ]*\.s\.PGSQL|host=/[^' ]+|at /[^' ]+`), "SOCKET"},
	{regexp.MustCompile(`\d[\d.]*(ns|µs|ms|s|m|h)\b`), "DURATION"},
	{regexp.MustCompile(`\d+`), "N"},
}

// constant are the numbers that a reader depends on.
var constant = map[string]bool{"schema": true, "exit": true, "manifest_schema": true, "output_schema": true}

// changing are strings that differ between machines.
var changing = map[string]bool{"host": true, "version": true, "go": true, "postgres": true, "holdfast": true, "machine": true, "server": true}

func scrub(key string, value any, work string) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, element := range v {
			if k != "waits_caused" && k != "settled" { // by chance
				out[k] = scrub(k, element, work)
			}
		}
		return out
	case []any:
		if len(v) == 0 {
			return v
		}
		return []any{scrub(key, v[0], work)}
	case float64:
		if constant[key] {
			return v
		}
		return 0
	case string:
		if changing[key] && v != "new" && v != "before" && v != "undone" {
			return strings.ToUpper(key)
		}
		v = strings.ReplaceAll(v, work, "$WORK")
		for _, r := range volatile {
			v = r.pattern.ReplaceAllString(v, r.by)
		}
		return v
	}
	return value
}
