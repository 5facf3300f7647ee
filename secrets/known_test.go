package secrets_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/secrets"
)

const token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"

// knows knows some secrets.
func knows(words ...string) *secrets.Known {
	k := new(secrets.Known)
	for _, w := range words {
		k.Learn(holdfast.NewSecret(w))
	}
	return k
}

func TestWhatIsRepeatedIsHidden(t *testing.T) {
	for _, c := range []struct{ name, secret, text, want string }{
		{"a token", token, "the header Bearer " + token + " is refused", "the header Bearer [secret] is refused"},
		{"twice", token, token + " " + token, "[secret] [secret]"},
		{"in a word", token, "x" + token + "y", "x[secret]y"},
		{"a token that is cut", token, "(" + token[:60] + "...", "([secret]..."},
		{"too little of it to be one", token, token[:20], token[:20]},
		{"a short one by itself", "hunter2", "password hunter2.", "password [secret]."},
		{"a short one in a word", "hunter2", "hunter23 ahunter2", "hunter23 ahunter2"},
		{"one that is no secret", "db", "database db", "database db"},
		{"in an address", "pass/word+of 1", "http://u:pass%2Fword+of%201@h pass%2Fword%2Bof+1", "http://u:[secret]@h [secret]"},
		{"in JSON", `quo"te<d-secret>`, `{"a": "quo\"te\u003cd-secret\u003e"}`, `{"a": "[secret]"}`},
		{"a line of a file", "# the key\nAGE-SECRET-KEY-1ABCDEF\n", "no AGE-SECRET-KEY-1ABCDEF here", "no [secret] here"},
		{"nothing", "", "nothing", "nothing"},
	} {
		k := knows(c.secret)
		if got := k.Hide(c.text); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		var out bytes.Buffer
		n, err := k.Writer(&out).Write([]byte(c.text))
		if out.String() != c.want || n != len(c.text) || err != nil {
			t.Errorf("%s: written %q, %d, %v", c.name, out.String(), n, err)
		}
	}
}

func TestANameThatIsAPasswordTooStays(t *testing.T) {
	k := knows("participant")
	k.Spare("participant")
	if got := k.Hide("cannot connect to participant"); got != "cannot connect to participant" {
		t.Errorf("got %q", got)
	}
}

// JSON stays JSON, whatever the secrets are: keys, numbers and quotes stay.
func TestJSONStaysJSON(t *testing.T) {
	k := knows("12345678", "captures", token, `ends with \`)
	for text, want := range map[string]string{
		`{"captures": 12345678, "a": ["12345678", "captures"]}`: `{"captures": 12345678, "a": ["[secret]", "[secret]"]}`,
		`{"err": "said \"` + token + `\""}`:                     `{"err": "said \"[secret]\""}`,
		`{"a":"ends with \\","b":"\\"}`:                         `{"a":"[secret]","b":"\\"}`,
		`"cut`:                                                  `"cut`,
		``:                                                      ``,
	} {
		if got := string(k.HideJSON([]byte(text))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestNobodyKnowsNothing(t *testing.T) {
	var k *secrets.Known
	k.Spare("a")
	if k.Learn(holdfast.NewSecret(token)).Reveal() != token || k.Hide(token) != token || k.LearnFrom(nil) != nil {
		t.Error("the nil list changes something")
	}
}

// What readers read is known from then on.
func TestReadersLearn(t *testing.T) {
	k := new(secrets.Known)
	t.Setenv("TOKEN", token)
	if _, err := k.LearnAll(of("")).Of("env:TOKEN")(t.Context()); err != nil || k.Hide(token) != "[secret]" {
		t.Errorf("%v: %s", err, k.Hide(token))
	}
}

func TestExposedFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { //nolint:gosec // it is open on purpose
		t.Fatal(err)
	}
	for _, c := range []struct {
		file, directory os.FileMode
		want            bool
	}{{0o644, 0o755, true}, {0o604, 0o755, true}, {0o640, 0o755, false}, {0o600, 0o755, false}, {0o644, 0o750, false}} {
		path := filepath.Join(dir, "secret")
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		for name, mode := range map[string]os.FileMode{path: c.file, dir: c.directory} {
			if err := os.Chmod(name, mode); err != nil {
				t.Fatal(err)
			}
		}
		if _, got := secrets.Exposed(path); got != c.want {
			t.Errorf("mode %o in a directory of mode %o: exposed %v, want %v", c.file, c.directory, got, c.want)
		}
	}
	if _, is := secrets.Exposed(filepath.Join(dir, strings.Repeat("no", 3))); is {
		t.Error("a file that is not there is exposed")
	}
}
