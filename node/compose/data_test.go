package compose

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
	"holdfast/step"
)

// porter are the programs of a project without containers, on the test bed.
func porter(t *testing.T) *Programs {
	t.Helper()
	engine, err := Connect(bundle.Require(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	number := make([]byte, 3)
	rand.Read(number)
	project := "holds-" + hex.EncodeToString(number)
	t.Cleanup(func() {
		list, err := engine.API.VolumeList(context.Background(), client.VolumeListOptions{Filters: client.Filters{}.Add("name", project)})
		if err != nil {
			t.Error(err)
		}
		for _, v := range list.Items {
			if _, err := engine.API.VolumeRemove(context.Background(), v.Name, client.VolumeRemoveOptions{}); err != nil {
				t.Error(err)
			}
		}
		_ = engine.Close()
	})
	return &Programs{Node: NewNode(engine, Bundle{Project: project, Postgres: &Container{Image: "postgres:15"}}), Now: time.Now}
}

// volume makes one with a script.
func (p *Programs) volume(t *testing.T, name, script string) dataDirectory {
	t.Helper()
	name = p.Node.Project + "-" + name
	made, err := p.Node.Engine.API.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	p.in(t, name, script)
	return dataOf(made.Volume)
}

// in runs a script in a volume.
func (p *Programs) in(t *testing.T, volume, script string) string {
	t.Helper()
	code, said, err := p.Node.Engine.help(t.Context(), p.Node.Project, "postgres:15", []string{volume + ":/v"}, "cd /v\n"+script)
	if err != nil || code != 0 {
		t.Fatalf("exit code %d: %s: %v", code, said, err)
	}
	return said
}

const (
	fill = `mkdir -p deep/er; echo a >deep/er/a; head -c 100000 /dev/urandom >"b c"; ln -s b deep/link; chmod 600 "b c"; chown -R 999:999 .; chmod 700 .`
	// look prints every file, with owner, rights and digest.
	look = `walk() { stat -c '%n %F %a %u:%g' "$1"; if [ -L "$1" ]; then readlink "$1"; elif [ -f "$1" ]; then sha256sum "$1"; elif [ -d "$1" ]; then
		for f in "$1"/* "$1"/.[!.]*; do if [ -e "$f" ] || [ -L "$f" ]; then walk "$f"; fi; done; fi; }; walk .`
	// face prints the owner, the rights and the names of a directory.
	face = `stat -c '%a %u:%g' .; ls -A`
)

// Everything gets from one volume to another, by rename or by copy, whatever an
// earlier attempt had left; and where both have something, nothing is touched.
func TestAVolumeIsCarried(t *testing.T) {
	t.Parallel()
	p := porter(t)
	never := func() error { t.Error("a rename was proven"); return nil }
	from, to := p.volume(t, "a", fill), p.volume(t, "b", "")
	want := p.in(t, from.Volume, look)
	if strings.Count(want, "\n") < 6 {
		t.Fatalf("the volume was not filled:\n%s", want)
	}
	for range 2 { // the second time there is nothing left to do
		if err := p.carry(t.Context(), from, to, true, false, never); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.in(t, to.Volume, look); got != want {
		t.Errorf("renamed:\n%s\nwant:\n%s", got, want)
	}
	if got := p.in(t, from.Volume, face); got != "700 999:999" {
		t.Errorf("what was left is %q, want an empty directory with the owner and rights of before", got)
	}
	p.in(t, from.Volume, "echo new >new")
	if err := p.carry(t.Context(), to, from, false, false, never); err == nil {
		t.Error("one volume was carried over another")
	}
	if got := p.in(t, to.Volume, look); got != want {
		t.Error("a refusal has changed something")
	}

	from, to = to, dataDirectory{Volume: p.volume(t, "c", "echo half >deep; echo of >copy").Volume} // by copy; one was broken off
	proven := 0
	if err := p.carry(t.Context(), dataDirectory{Volume: from.Volume}, to, true, false, func() error { proven++; return nil }); err != nil || proven != 1 {
		t.Fatalf("proven %d times: %v", proven, err)
	}
	if got := p.in(t, to.Volume, look); got != want {
		t.Errorf("copied:\n%s\nwant:\n%s", got, want)
	}
	if got := p.in(t, from.Volume, face); got != "700 999:999" {
		t.Errorf("what was left is %q", got)
	}
	// Killed after the proof: only taking away is left, and nothing is copied.
	p.in(t, from.Volume, "echo rest >rest")
	if err := p.carry(t.Context(), dataDirectory{Volume: from.Volume}, to, true, true, never); err != nil {
		t.Fatal(err)
	}
	if got := p.in(t, to.Volume, look); got != want {
		t.Error("a proven copy was touched again")
	}
}

// A copy that does not fit, or whose proof cannot be noted, leaves everything
// where it was.
func TestAVolumeThatCannotBeCopiedStays(t *testing.T) {
	t.Parallel()
	p := porter(t)
	from := dataDirectory{Volume: p.volume(t, "a", fill).Volume}
	want := p.in(t, from.Volume, look)
	name := p.Node.Project + "-small"
	if _, err := p.Node.Engine.API.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: name, DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=64k"}}); err != nil {
		t.Fatal(err)
	}
	err := p.carry(t.Context(), from, dataDirectory{Volume: name}, true, false, func() error { return nil })
	if holdfast.ClassOf(err) != holdfast.NoSpace || !strings.Contains(err.Error(), "KiB are free") {
		t.Errorf("onto a disk that is too small: %v", err)
	}
	if err := p.carry(t.Context(), from, dataDirectory{Volume: p.volume(t, "b", "").Volume}, true, false, func() error { return context.DeadlineExceeded }); err == nil {
		t.Error("a proof that could not be noted was taken for one")
	}
	if got := p.in(t, from.Volume, look); got != want {
		t.Errorf("it was touched:\n%s\nwant:\n%s", got, want)
	}
}

// Whether a directory can be renamed is found out, and not assumed.
func TestWhatCanBeRenamed(t *testing.T) {
	t.Parallel()
	p := porter(t)
	for _, x := range []struct {
		name string
		h    dataDirectory
		want bool
	}{
		{"a volume of Docker's own", p.volume(t, "a", ""), true},
		{"a volume of another driver", dataDirectory{Volume: "x"}, false},
		{"a mount point", dataDirectory{Path: "/dev/shm", Bound: true}, false},
		{"a directory on a disk", dataDirectory{Path: "/usr/share", Bound: true}, true},
	} {
		if got, err := p.canRename(t.Context(), x.h); err != nil || got != x.want {
			t.Errorf("%s: %v, %v", x.name, got, err)
		}
	}
}

// A volume that stands for a directory of the operator's, or that directory
// itself, is renamed beside where it was, and comes back.
func TestADirectoryOfTheOperatorsIsRenamedBesideItself(t *testing.T) {
	t.Parallel()
	p := porter(t)
	of := origin{Project: p.Node.Project, Set: "20261122T154500Z-1f0c9a3e", At: time.Date(2026, 11, 23, 3, 12, 7, 0, time.UTC)}
	for _, x := range []struct{ name, beside string }{
		{p.Node.Project + "-bound", "data.before-20261122T154500Z-1f0c9a3e.at-20261123T031207Z"},
		{"", "data.before-20261122T154500Z-1f0c9a3e.at-20261123T031207Z"},
	} {
		directory := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(directory, 0o700); err != nil {
			t.Fatal(err)
		}
		h := dataDirectory{Path: directory, Bound: true}
		if x.name != "" {
			made, err := p.Node.Engine.API.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: x.name, DriverOpts: map[string]string{"type": "none", "o": "bind", "device": directory}})
			if err != nil {
				t.Fatal(err)
			}
			h = dataOf(made.Volume)
		}
		p.in(t, h.String(), fill)
		want := p.in(t, h.String(), look)
		if can, err := p.canRename(t.Context(), h); err != nil || !can {
			t.Fatalf("%s cannot be renamed: %v", h, err)
		}
		spare, err := p.Node.Engine.spare(t.Context(), h, true, step.Previous, of)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(filepath.Dir(directory), x.beside); spare.Path != want || !spare.Bound {
			t.Errorf("beside %s is %+v, want %s", h, spare, want)
		}
		if err := p.carry(t.Context(), h, spare, true, false, nil); err != nil {
			t.Fatal(err)
		}
		if got := p.in(t, spare.Volume, look); got != want {
			t.Errorf("renamed:\n%s\nwant:\n%s", got, want)
		}
		if got := p.in(t, h.String(), face); got != "700 999:999" {
			t.Errorf("what was left is %q", got)
		}
		for range 2 {
			if err := p.carry(t.Context(), spare, h, false, false, nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.in(t, h.String(), look); got != want {
			t.Errorf("back:\n%s\nwant:\n%s", got, want)
		}
		if _, err := os.Stat(spare.Path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", spare.Path, err)
		}
		if _, err := p.Node.Engine.API.VolumeRemove(t.Context(), spare.Volume, client.VolumeRemoveOptions{}); err != nil {
			t.Error(err)
		}
	}
}

// A helper container whose process was killed is waited for: its work may still
// be going on.
func TestAHelperIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := porter(t)
	v := p.volume(t, "a", "")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, _, err := p.Node.Engine.help(ctx, p.Node.Project, "postgres:15", []string{v.Volume + ":/v"}, "sleep 3; echo done >/v/done")
		ended <- err
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := p.Node.Engine.inspect(t.Context(), p.Node.Project+"-holdfast-helper")
		if err == nil && c.State == "running" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the helper does not run: %v", err)
		}
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("a helper that was given up has succeeded")
	}
	if said := p.in(t, v.Volume, "cat done"); said != "done" {
		t.Errorf("it was not waited for: %q", said)
	}
}

// A volume that a restore of the first versions has kept is known by its labels.
func TestAVolumeThatTheFirstVersionsHaveKept(t *testing.T) {
	t.Parallel()
	p := porter(t)
	const set = "20261122T154500Z-1f0c9a3e"
	name := p.Node.Project + "_data.before-" + set + ".at-20261123T031207Z"
	_, err := p.Node.Engine.API.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: name, Labels: map[string]string{
		"holdfast.project": p.Node.Project, "holdfast.volume": p.Node.Project + "_data", "holdfast.role": "before",
		"holdfast.set": set, "holdfast.at": "20261123T031207Z"}})
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.Leftovers(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	l := list[0]
	if l.Role != step.Previous || l.Name != name || l.Volume != p.Node.Project+"_data" || l.Set != set || l.At.Hour() != 3 {
		t.Errorf("got %+v", l)
	}
	if err := p.Remove(t.Context(), l); err != nil {
		t.Fatal(err)
	}
}
