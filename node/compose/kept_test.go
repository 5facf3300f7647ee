package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast"
)

func programsAt(directory string) *Programs {
	return &Programs{Node: &Node{Bundle: Bundle{Directory: directory}}}
}

// A set that comes from elsewhere does not choose what this machine executes.
func TestWhereASetWritesItsFiles(t *testing.T) {
	for _, c := range []struct{ directory, path, want string }{ // want: where it is written; "": nowhere
		{"/srv/bundle", "/srv/bundle/.env", "/srv/bundle/.env"},
		{"/srv/bundle", "/srv/bundle/nginx/conf.d/a.conf", "/srv/bundle/nginx/conf.d/a.conf"},
		{"/srv/bundle", "/etc/cron.d/evil", "/srv/bundle/from-elsewhere/etc/cron.d/evil"},
		{"/srv/bundle", "/srv/bundle/../../etc/cron.d/evil", "/srv/bundle/from-elsewhere/etc/cron.d/evil"},
		{"/srv/bundle", "../../etc/cron.d/evil", "/srv/bundle/from-elsewhere/etc/cron.d/evil"},
		{"/srv/bundle", "/srv/bundle2/a", "/srv/bundle/from-elsewhere/srv/bundle2/a"},
		{"/srv/bundle", "/srv/bundle/a\x1b[2J", ""},
		{"/etc/cron.d", "/etc/cron.d/evil", ""},
		{"/", "/etc/cron.d/evil", ""},
		{"/usr", "/usr/local/bin/sh", ""},
		{"relative", "relative/a", ""},
		{"", "/etc/cron.d/evil", ""},
	} {
		p := programsAt(c.directory)
		s := p.place(holdfast.KeptFile{Path: c.path})
		at := s.As
		if at == "" {
			at = s.Name
		}
		err := p.writable(at)
		if c.want == "" && holdfast.ClassOf(err) != holdfast.Refused || c.want != "" && (err != nil || at != c.want) {
			t.Errorf("%s of a bundle in %q: %s, %v", c.path, c.directory, at, err)
		}
		if s.As != "" && s.Why == "" {
			t.Errorf("%s is put elsewhere without a word", c.path)
		}
	}
	for mode, want := range map[string]os.FileMode{"0755": 0o755, "0777": 0o755, "0666": 0o644, "6755": 0o644, "": 0o644} {
		if got := modeOf(holdfast.KeptFile{Path: "a", Mode: mode}, nil); got != want {
			t.Errorf("mode %q becomes %04o, want %04o", mode, got, want)
		}
	}
}

// Files of one name have a place each in a set, and what a set does not keep is
// named.
func TestWhatASetKeepsOfABundle(t *testing.T) {
	n := &Node{Bundle: Bundle{Directory: "/srv/bundle"}}
	var names []string
	for _, file := range []string{"/srv/bundle/compose.yaml", "/srv/bundle/a/compose.yaml", "/etc/a/compose.yaml", "/etc/b/compose.yaml"} {
		name := n.within(file)
		if slices.Contains(names, name) || !strings.HasPrefix(name, holdfast.DeploymentDirectory+"/") {
			t.Errorf("%s is kept as %s, %v", file, name, names)
		}
		names = append(names, name)
	}
	dir := t.TempDir()
	for i := range mostFiles + 2 {
		if err := os.WriteFile(filepath.Join(dir, string(rune('A'+i%26))+string(rune('a'+i/26))), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, mostBytes+1); err != nil {
		t.Fatal(err)
	}
	h := &holdings{}
	h.bind(Container{Name: "c"}, mounted{dataDirectory: dataDirectory{Path: dir, Bound: true}, inside: "/x"}, false)
	files, notKept := h.files, h.notKept
	if len(files) != mostFiles || len(notKept) != 2 || !strings.HasPrefix(notKept[0], large) ||
		!strings.HasPrefix(notKept[1], "2 more files in "+dir) {
		t.Errorf("%d files; %q", len(files), notKept)
	}
}
