package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/place"
	stores "holdfast/repository"
)

// manySets is how many sets there are when lists and pages are measured: nearly
// a year of one every four hours.
const manySets = 2000

// The most that a list and a page may take.
const (
	mostList = 1.0
	mostPage = 0.05
)

// pages measures lists and pages of many sets, in a directory and, where a server
// is at hand (HOLDFAST_TEST_STORES), in a bucket.
func (b *bench) pages(ctx context.Context) error {
	one, err := b.newRepository(ctx, "pages", b.node.ParticipantDSN(), b.node.Participant.Version.Bin)
	if err != nil {
		return err
	}
	if _, _, err := one.backup(ctx); err != nil {
		return err
	}
	b.note("%d sets, as a year of one every four hours leaves them", manySets)
	if err := fill(ctx, one); err != nil {
		return err
	}
	if err := b.manyIn(ctx, "directory", one, nil); err != nil {
		return err
	}
	programs := os.Getenv("HOLDFAST_TEST_STORES")
	if programs == "" {
		b.note("no bucket is measured: HOLDFAST_TEST_STORES is not set")
		return nil
	}
	return b.inBucket(ctx, one, programs)
}

// inBucket measures a copy of the repository in a bucket of versitygw.
func (b *bench) inBucket(ctx context.Context, one repository, programs string) error {
	root := filepath.Join(b.dir, "buckets")
	if err := os.MkdirAll(filepath.Join(root, "sets"), 0o700); err != nil {
		return err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	server := exec.CommandContext(ctx, filepath.Join(programs, "versitygw"), "--access", "key1", "--secret", "secret12",
		"--port", address, "--region", "us-east-1", "posix", root)
	if err := server.Start(); err != nil {
		return err
	}
	defer func() { _ = server.Process.Kill(); _ = server.Wait() }()
	if err := until(ctx, 10*time.Second, func() error {
		c, err := net.Dial("tcp", address) //nolint:noctx // of this machine
		if err == nil {
			_ = c.Close()
		}
		return err
	}); err != nil {
		return err
	}
	at := fmt.Sprintf("s3://sets/holdfast?endpoint=%s&region=us-east-1&tls=off", address)
	keys := []string{"AWS_ACCESS_KEY_ID=key1", "AWS_SECRET_ACCESS_KEY=secret12"}
	if err := unsharded(filepath.Join(one.dir, "repository"), filepath.Join(root, "sets", "holdfast")); err != nil {
		return err
	}
	s3, err := b.configured(one, at)
	if err != nil {
		return err
	}
	return b.manyIn(ctx, "bucket", s3, keys)
}

// unsharded copies the blobs of a repository in a directory as a bucket has them:
// without directories, each under its name.
func unsharded(from, to string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".f" {
			return err
		}
		name, err := filepath.Rel(from, strings.TrimSuffix(path, ".f"))
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, strings.ReplaceAll(name, string(filepath.Separator), "")), text, 0o600)
	})
}

// configured is the repository in another place, with a configuration of its own.
func (b *bench) configured(one repository, at string) (repository, error) {
	other := repository{one.program, filepath.Join(b.dir, "pages-elsewhere")}
	if err := os.MkdirAll(other.dir, 0o700); err != nil {
		return other, err
	}
	for _, name := range []string{"holdfast.yaml", "repository.password"} {
		text, err := os.ReadFile(filepath.Join(one.dir, name))
		if err != nil {
			return other, err
		}
		here := filepath.Join(one.dir, "repository")
		changed := strings.ReplaceAll(string(text), here, at)
		changed, _, _ = strings.Cut(changed, "\nhttp:") // of the page that was measured
		if err := os.WriteFile(filepath.Join(other.dir, name), []byte(changed), 0o600); err != nil {
			return other, err
		}
	}
	return other, nil
}

// manyIn measures a repository that is filled. The first list of a bucket fills the
// cache.
func (b *bench) manyIn(ctx context.Context, kind string, r repository, env []string) error {
	if kind == "bucket" {
		env = append(env, "XDG_CACHE_HOME="+filepath.Join(r.dir, "cache"))
	}
	for i := range b.rounds + 1 {
		list := r.command("list", "--output", "json")
		list.env = env
		s, err := execute(ctx, list)
		if err != nil {
			return err
		}
		b.noteSample("list, "+kind, s)
		what := "list of %d sets in a %s, seconds"
		if i == 0 {
			what = "the first list of %d sets in a %s, seconds"
		}
		b.results.add(fmt.Sprintf(what, manySets+1, kind), atMost(mostList), s.wall.Seconds())
	}
	return b.measurePages(ctx, kind, r, env)
}

// fill repeats the newest set, each four hours before the next, the oldest first.
// Their files are left out: lists and pages read manifests alone. Files have the
// time that they would have, so that maintenance does what it does in a year.
func fill(ctx context.Context, r repository) error {
	var conf struct{ path, password string }
	for key, to := range map[string]*string{"repository.path": &conf.path, "repository.password": &conf.password} {
		value, err := r.setting(ctx, key)
		if err != nil {
			return err
		}
		*to = value
	}
	at, err := place.Parse(conf.path, r.dir)
	if err != nil {
		return err
	}
	password, err := os.ReadFile(filepath.Join(r.dir, strings.TrimPrefix(conf.password, "file:")))
	if err != nil {
		return err
	}
	rep, err := stores.Open(ctx, at, holdfast.NewSecret(strings.TrimRight(string(password), "\n")))
	if err != nil {
		return err
	}
	defer func() { _ = rep.Close(ctx) }()
	set, _, err := rep.Latest(ctx, "bench", holdfast.Proven)
	if err != nil {
		return err
	}
	from := time.Now()
	for i := range manySets {
		made := earlier(set, manySets-i)
		if err := rep.Write(ctx, "bench", func(ctx context.Context, w holdfast.SetWriter) error {
			return write(ctx, w, made)
		}); err != nil {
			return err
		}
		if (i+1)%setsADay == 0 {
			if err := date(conf.path, from, made.Ended.Wall); err != nil {
				return err
			}
		}
		if (i+1)%betweenMaintenances != 0 {
			continue
		}
		if _, err := rep.Maintain(ctx, true); err != nil {
			return err
		}
	}
	return nil
}

// setsADay is how many sets a day has. After so many sets as betweenMaintenances
// says the repository is maintained: every four days, not daily as a real one, so
// that this takes minutes.
const (
	setsADay            = 6
	betweenMaintenances = 24
)

// date gives the files that were written since then another time.
func date(dir string, since, to time.Time) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.ModTime().Before(since) {
			return err
		}
		return os.Chtimes(path, to, to)
	})
}

// earlier is a set like it of so many times four hours before.
func earlier(set holdfast.Set, times int) *holdfast.Set {
	before := time.Duration(times) * 4 * time.Hour
	set.Began.Wall, set.Ended.Wall = set.Began.Wall.Add(-before), set.Ended.Wall.Add(-before)
	set.ID = holdfast.NewSetID(set.Began.Wall, [4]byte{0, 0, byte(times >> 8), byte(times)})
	set.Captures = slices.Clone(set.Captures)
	for i := range set.Captures {
		c := &set.Captures[i]
		rows, ok := c.Content.(content.Rows)
		if !ok {
			continue
		}
		rows.Tables = slices.Clone(rows.Tables)
		for k := range rows.Tables {
			rows.Tables[k].Segments = nil
		}
		c.Content = rows
		c.Consistent.Wall = c.Consistent.Wall.Add(-before)
	}
	return &set
}

// write stores a set with files that hold nothing.
func write(ctx context.Context, w holdfast.SetWriter, set *holdfast.Set) error {
	for _, name := range set.FileNames() {
		if _, err := w.Put(ctx, name, func(w io.Writer) error { _, err := io.WriteString(w, "-"); return err }); err != nil {
			return err
		}
	}
	return w.Seal(ctx, set)
}

// setting is one of the configuration's.
func (r repository) setting(ctx context.Context, key string) (string, error) {
	s, err := execute(ctx, r.command("config", "show", "--output", "json"))
	if err != nil {
		return "", err
	}
	var shown struct {
		Value []struct{ Key, Value string }
	}
	if err := json.Unmarshal(s.output, &shown); err != nil {
		return "", err
	}
	for _, one := range shown.Value {
		if one.Key == key {
			return one.Value, nil
		}
	}
	return "", fmt.Errorf("the configuration has no %s", key)
}

// measurePages serves the repository, and measures each screen.
func (b *bench) measurePages(ctx context.Context, kind string, r repository, env []string) (err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(r.dir, "holdfast.yaml"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file,
		"\nhttp: {listen: '%s'}\npage: {open: true}\nschedule: {drill: never, verify: never}\n", address)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	run := r.command("run")
	service := exec.CommandContext(ctx, run.args[0], run.args[1:]...)
	service.Env = append(os.Environ(), env...)
	if err := service.Start(); err != nil {
		return err
	}
	defer func() { _ = service.Process.Signal(os.Interrupt); _ = service.Wait() }()
	node := "http://" + address + "/nodes/bench/"
	if err := until(ctx, 5*time.Minute, func() error {
		text, _, err := fetch(ctx, node+"timeline")
		if err == nil && !strings.Contains(text, "Sets <small>20") {
			err = errors.New("the page does not show the sets yet")
		}
		return err
	}); err != nil {
		return err
	}
	for _, screen := range []string{"", "timeline", "timeline?page=40", "recovery", "conditions", "activity", "growth"} {
		for range 10 * b.rounds {
			_, took, err := fetch(ctx, node+screen)
			if err != nil {
				return err
			}
			b.results.add(fmt.Sprintf("page of %d sets in a %s, /%s, seconds", manySets+1, kind, screen),
				atMost(mostPage), took.Seconds())
		}
	}
	return b.idles(service.Process.Pid, fmt.Sprintf("idle service with %d sets in a %s", manySets+1, kind), 1)
}

func fetch(ctx context.Context, at string) (text string, took time.Duration, err error) {
	began := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", 0, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", at, answer.Status)
	}
	return string(body), time.Since(began), err
}

// until repeats what fails, for a while.
func until(ctx context.Context, patience time.Duration, fn func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := fn()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
