package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
)

// A repository that the program makes costs whoever guesses passwords as much
// as the documentation says. The other tests have it cost nothing.
func TestThePasswordIsDearToGuess(t *testing.T) {
	t.Parallel()
	s := newSite(t, splicetest.NodeOptions{})
	s.init(t)
	text, err := os.ReadFile(filepath.Join(s.dir, "repository", "kopia.repository.f"))
	if err != nil {
		t.Fatal(err)
	}
	var format struct {
		KeyDerivation string `json:"keyAlgo"`
	}
	if err := json.Unmarshal(text, &format); err != nil {
		t.Fatal(err)
	}
	if format.KeyDerivation != "scrypt-65536-8-1" {
		t.Errorf("the key is derived by %q", format.KeyDerivation)
	}
	page, err := os.ReadFile("format.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "scrypt (N 65536, r 8, p 1)") {
		t.Error("format.md does not say how the key is derived")
	}
}
