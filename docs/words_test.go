package docs_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast"
	"holdfast/verify"
)

// Every state, level and verdict has a row in the table of words, and every row is
// held by a test that exists.
func TestEveryWordSaysWhatWasTested(t *testing.T) {
	text, err := os.ReadFile("operate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "### What each word says was tested\n")
	if table, _, _ = strings.Cut(table, "\n#"); !found {
		t.Fatal("operate.md has no table of words")
	}
	words, tests := map[string]bool{}, testNames(t)
	for _, line := range strings.Split(table, "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 5 || strings.HasPrefix(line, "| word ") || strings.HasPrefix(line, "|---") {
			continue
		}
		for _, m := range span.FindAllStringSubmatch(cells[0], -1) {
			words[m[1]] = true
		}
		held := span.FindStringSubmatch(cells[4])
		if held == nil || !strings.Contains(tests, "func "+held[1]+"(") {
			t.Errorf("no test holds the row %s", line)
		}
		if strings.TrimSpace(cells[2]) == "" {
			t.Errorf("nothing was tested: %s", line)
		}
	}
	for _, word := range []string{
		string(holdfast.Proven), string(holdfast.Unproven), string(holdfast.Misordered), string(holdfast.Mismatched),
		string(verify.Structure), string(verify.Sample), string(verify.Data),
		string(holdfast.Holds), string(holdfast.Violated), string(holdfast.CannotTell), string(holdfast.NoneApplies),
	} {
		if !words[word] {
			t.Errorf("the table of words has no row of %q", word)
		}
	}
}

// testNames are the lines with which the tests of this module begin.
func testNames(t *testing.T) string {
	t.Helper()
	begins := regexp.MustCompile(`(?m)^func Test\w+\(`)
	var all strings.Builder
	for _, file := range sources(t, "_test.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(strings.Join(begins.FindAllString(string(text), -1), "\n") + "\n")
	}
	return all.String()
}

// sources are the files of this module with that ending.
func sources(t *testing.T, ending string) (out []string) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ending) {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
