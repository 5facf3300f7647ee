package compose_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/internal/splicetest/canary"
)

// canaries are a node of Compose whose secrets are planted: in .env, in flags of
// start.sh, in an operator's own variable, and in a file that Compose puts into a
// container.
type canaries struct {
	damaged
	secrets  canary.Secrets
	children canary.Children
	cable    *bundle.Cable
	said     bytes.Buffer // whatever the commands have printed
}

const planted = `configs: {private: {content: 'canary-of-a-file'}}
services: {participant: {environment: [APP_SECRET=canary-of-an-app], configs: [private]}}`

func newCanaries(t *testing.T) *canaries {
	t.Helper()
	_, settings := bundle.Issuer(t)
	settings["SPLICE_DB_PASSWORD"] = "canary-of-the-database"
	c := &canaries{cable: bundle.NewCable(t), secrets: canary.Secrets{
		"database": settings["SPLICE_DB_PASSWORD"], "client": settings["VALIDATOR_AUTH_CLIENT_SECRET"],
		"sponsor": "canary-of-the-sponsor", "app": "canary-of-an-app", "file": "canary-of-a-file",
	}}
	c.site = newSiteWith(t, bundle.Options{Settings: settings, Flags: []string{"-a", "-o", c.secrets["sponsor"]}}, planted)
	c.docker = c.cable.Host
	c.children = canary.Watch(t, c.dir, "/usr/bin", "pg_dump", "pg_restore", "psql", "docker", "ssh")
	for _, name := range []string{"tmp", "cache"} {
		check(t, os.Mkdir(filepath.Join(c.dir, name), 0o700))
	}
	c.env = []string{
		"TMPDIR=" + filepath.Join(c.dir, "tmp"), "HOME=" + filepath.Join(c.dir, "cache"),
		"XDG_CACHE_HOME=" + filepath.Join(c.dir, "cache"), "PATH=" + c.children.Dir + ":/usr/bin:/bin",
	}
	return c
}

// runs runs a command that has to end with that exit code; -1 for any.
func (c *canaries) runs(t *testing.T, exit int, args ...string) {
	t.Helper()
	r := c.try(t, args...)
	c.said.WriteString("$ " + args[0] + "\n" + r.out + r.err)
	if exit >= 0 && r.exit != exit {
		t.Fatalf("holdfast %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.exit, exit, r.out, r.err)
	}
}

// search looks for the canaries wherever Holdfast may have left something.
func (c *canaries) search(t *testing.T) {
	t.Helper()
	c.secrets.Look(t, "what was printed", c.said.Bytes())
	c.secrets.LookAt(t, c.children)
	c.secrets.LookBelow(t, c.dir, c.children.Is)
}

// asked is what Docker was asked for, without libpq's own way to give a program in
// the database's container its password: that container has it as well.
func (c *canaries) asked() []byte {
	own := []byte(`"PGPASSWORD=` + c.secrets["database"] + `"`)
	return bytes.ReplaceAll(c.cable.Asked(), own, nil)
}

// bundled are the files of the bundle.
func (c *canaries) bundled(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	check(t, filepath.WalkDir(c.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[path] = string(text)
		return err
	}))
	return out
}

// No secret of a compose node is repeated: not in what is printed or logged, not
// in files of Holdfast's own or in the bundle, not to other programs, and not to
// Docker, unless it makes the container again that had it.
func TestNoSecretOfTheNodeIsRepeated(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	c := newCanaries(t)
	c.work(t)
	files := c.bundled(t)
	c.runs(t, 0, "init", "--project", c.Project, "--yes", "--recovery-key-file", "key", "--tools", c.children.Dir)
	c.set, c.whole = "latest", must(c.Fingerprints(ctx))(t)
	c.identity = must(c.Identity(ctx))(t)
	for _, args := range [][]string{
		{"show", "latest", "--output", "json"}, {"show", "latest"}, {"node", "show", "--output", "json"},
		{"check", "--output", "json"}, {"config", "check", "--live"}, {"config", "show", "--origin"}, {"identities", "fetch"},
		{"restore", "latest", "--output", "json"},
	} {
		c.runs(t, -1, args...)
	}
	c.shutOut(t)
	c.throughExec(t)
	c.said.WriteString(c.killed(t, "build database participant"))
	c.search(t)
	c.runs(t, 0, "restore", "undo", "--yes")
	c.secrets.Look(t, "what Docker was asked for", c.asked())

	check(t, c.Down(ctx))
	check(t, os.Remove(filepath.Join(c.Dir, ".env")))
	c.runs(t, 0, "restore", "latest", "--yes")
	c.complete(t)
	c.search(t)
	if !bytes.Contains(c.cable.Asked(), []byte(c.secrets["app"])) {
		t.Error("what Docker was asked for is not seen: the container was made again, and its secret is not there")
	}
	if differ := bundle.Differences(files, c.bundled(t)); len(differ) > 0 {
		t.Errorf("the bundle's files are not what they were: %s", differ)
	}
}

// shutOut gives the database another password for a while: what was known by the
// node is refused, by a command and by the service.
func (c *canaries) shutOut(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	sql := func(password string) {
		must(c.Exec(ctx, "postgres-splice", "psql", "-U", "cnadmin", "-d", "postgres",
			"-c", "alter role cnadmin password '"+password+"'"))(t)
	}
	sql("another")
	c.runs(t, -1, "backup")
	contains(t, c.said.String(), "password authentication failed")
	log := must(os.Create(filepath.Join(c.dir, "log")))(t)
	service := c.command(ctx, "run", "--output", "json")
	service.Stdout, service.Stderr = log, log
	check(t, service.Start())
	eventually(t, "the service logs how a task ended", func() bool {
		text := must(os.ReadFile(log.Name()))(t)
		return bytes.Contains(text, []byte("daemon.Ended")) || bytes.Contains(text, []byte("daemon.Failed"))
	})
	check(t, service.Process.Signal(syscall.SIGTERM))
	_ = service.Wait()
	check(t, log.Close())
	sql(c.secrets["database"])
}

// throughExec reaches the database by way of programs in the container.
func (c *canaries) throughExec(t *testing.T) {
	t.Helper()
	file := filepath.Join(c.dir, "holdfast.yaml")
	text := string(must(os.ReadFile(file))(t))
	only := strings.Replace(text, "compose:\n", "compose:\n  reach: {postgres: exec}\n", 1)
	check(t, os.WriteFile(file, []byte(only), 0o600))
	c.runs(t, 0, "node", "show")
	contains(t, c.said.String(), "docker exec")
	c.runs(t, -1, "config", "check", "--live")
	check(t, os.WriteFile(file, []byte(text), 0o600))
}
