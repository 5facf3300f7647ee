package printable

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestWhatReachesATerminal(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢字 \n\tline":             "plain é 漢字 \n\tline",
		"a\x1b[2J\x1b]0;title\x07b":       `a\x1b[2J\x1b]0;title\x07b`,
		"over\rwritten\b\b":               `over\x0dwritten\x08\x08`,
		"c1 \u009b31m":                    `c1 \u009b31m`,
		"not UTF-8 \x9b31m \xff":          `not UTF-8 \x9b31m \xff`,
		"\u202egnp.exe":                   `\u202egnp.exe`,
		"a replaced \ufffd, deleted \x7f": "a replaced \ufffd, deleted \\x7f",
	} {
		if got := Text(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := Cell("one\ntwo\tthree"); got != `one\x0atwo\x09three` {
		t.Error(got)
	}
	text, _ := json.Marshal(map[string]string{"k": "a\x1b\x7f\u009b\u202e\xff"})
	var back map[string]string
	got := JSON(text)
	if err := json.Unmarshal(got, &back); err != nil || back["k"] != "a\x1b\x7f\u009b\u202e\ufffd" || strings.ContainsAny(string(got), "\x7f\u009b\u202e") {
		t.Errorf("%q: %q, %v", got, back, err)
	}
	var out strings.Builder
	if n, err := Writer(&out).Write([]byte("a\x1bb")); n != 3 || err != nil || out.String() != `a\x1bb` {
		t.Errorf("%d, %v, %q", n, err, out.String())
	}
}
