package web_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/web/storybook"
)

// browse runs a script of the browser, and fails with everything that it finds.
func browse(t *testing.T, script string, input any) {
	t.Helper()
	if os.Getenv("HOLDFAST_TEST_BROWSER") == "" {
		t.Skip("no browser: eval \"$(internal/testbed/browser.sh)\"")
	}
	text, err := json.Marshal(input)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "browser/"+script)
	cmd.Stdin = bytes.NewReader(text)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var finding struct{ Where, What string }
		if err := json.Unmarshal(lines.Bytes(), &finding); err != nil {
			t.Fatalf("%s: %s", err, lines.Text())
		}
		t.Errorf("%s: %s", finding.Where, finding.What)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, failed.String())
	}
}

// Every screen in each of its states, in both themes and three widths: nothing
// on the console, no request to elsewhere, nothing wider than the screen, no
// serious finding of axe, usable by the keyboard, readable without script.
func TestScreens(t *testing.T) {
	type screen struct {
		Story  string `json:"story"`
		Origin string `json:"origin"`
		Path   string `json:"path"`
		Plain  bool   `json:"plain"`
	}
	var screens []screen
	for _, story := range storybook.Stories() {
		handler, err := story.Site.Handler()
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(handler)
		defer server.Close()
		for _, path := range story.Paths {
			screens = append(screens, screen{story.Name, server.URL, path, story.Name == "calm" || story.Name == "running"})
		}
	}
	if only := os.Getenv("HOLDFAST_TEST_STORY"); only != "" {
		var chosen []screen
		for _, s := range screens {
			if strings.HasPrefix(s.Story+s.Path, only) {
				chosen = append(chosen, s)
			}
		}
		screens = chosen
	}
	browse(t, "screens.mjs", map[string]any{
		"screens": screens, "shots": t.ArtifactDir(), "all": splicetest.Long(),
	})
}

// The runbook can be taken along: each command is copied as it is shown, and on paper
// there are the words and no buttons.
func TestTheRunbookIsTakenAlong(t *testing.T) {
	server := httptest.NewServer(handlerOf(t, storybook.Stories()[0].Site))
	defer server.Close()
	browse(t, "runbook.mjs", map[string]any{
		"origin": server.URL, "node": "validator-zrh-1", "shots": t.ArtifactDir(),
	})
}
