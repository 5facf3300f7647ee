package config_test

import (
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/place"
)

// Only the value of repository.path changes; what cannot be changed so is refused.
func TestMoveRepository(t *testing.T) {
	to := place.Directory("/mnt/it's new")
	const rest = "node: demo # é path: old\ndatabases: {participant: host=db dbname=p}\n"
	for name, c := range map[string]struct{ text, want string }{
		"block":   {"repository:\n  # where\n  path: old   # the disk\n  password: env:P\n", "  # where\n  path: '/mnt/it''s new'   # the disk\n"},
		"flow":    {"repository: {password: file:é, path: \"old\"}\n", "{password: file:é, path: '/mnt/it''s new'}"},
		"quoted":  {"repository: {path: 'old''s', password: env:P}\n", "{path: '/mnt/it''s new', password: env:P}"},
		"mapping": {"repository: {s3: {bucket: b, region: r}, password: env:P}\n", ""},
		"access":  {"repository: {path: 's3://b/p?region=r', password: env:P, access: {id: env:I}}\n", ""},
		"a copy":  {"repository: {path: old, password: env:P}\ncopies: [\"/mnt/it's new\"]\n", ""},
		"anchor":  {"repository: {path: &p old, password: env:P}\n", ""},
	} {
		got, err := config.MoveRepository("/etc/holdfast.yaml", []byte(rest+c.text), to)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s: changed to %s", name, got)
		case c.want != "" && (err != nil || !strings.HasPrefix(string(got), rest) || !strings.Contains(string(got), c.want)):
			t.Errorf("%s: %s, %v", name, got, err)
		}
	}
}
