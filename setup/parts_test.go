package setup

import (
	"strings"
	"testing"

	"holdfast"
	"holdfast/config"
)

const least = `node: demo
databases:
  validator: postgres://db/validator
  participant: postgres://db/participant
repository: {path: repository, password: file:password}
`

func parsed(t *testing.T, text string) *config.Config {
	t.Helper()
	conf, err := config.Parse("/etc/holdfast/holdfast.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return conf
}

// A reference of no known scheme may be a secret that was written where a
// reference belongs: it is refused before anything is done, and not shown.
func TestAReferenceOfNoSort(t *testing.T) {
	text := strings.Replace(least, "file:password", "op:hunter2", 1)
	_, err := Open(parsed(t, text), Options{})
	if holdfast.ClassOf(err) != holdfast.Usage {
		t.Fatalf("got %v", err)
	}
	for _, words := range []string{"configuration /etc/holdfast/holdfast.yaml", "repository.password: want a reference"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %s", err, words)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the secret is in %v", err)
	}
}
