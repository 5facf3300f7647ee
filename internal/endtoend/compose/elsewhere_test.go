package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
	"holdfast/internal/storetest"
)

// carryTo is another machine of the operator, with the password of the repository
// and the keys of the bucket that has a copy of it.
func (s *site) carryTo(t *testing.T, again *bundle.Bundle) *site {
	t.Helper()
	next := &site{Bundle: again, dir: t.TempDir(), docker: s.docker, env: s.env}
	check(t, os.WriteFile(filepath.Join(next.dir, "carried.password"), must(os.ReadFile(filepath.Join(s.dir, "repository.password")))(t), 0o600))
	return next
}

// copyToBucket sends everything to a bucket, and returns its address.
func (s *site) copyToBucket(t *testing.T) string {
	t.Helper()
	bucket := storetest.S3(t)
	id, secret := must(bucket.Access.ID(t.Context()))(t), must(bucket.Access.Secret(t.Context()))(t)
	s.env = append(s.env, "AWS_ACCESS_KEY_ID="+id.Reveal(), "AWS_SECRET_ACCESS_KEY="+secret.Reveal())
	s.holdfast(t, 0, "repository", "copy", "--to", bucket.Place.String())
	return bucket.Place.String()
}

// contains makes sure that all of it was said.
func contains(t *testing.T, said string, wanted ...string) {
	t.Helper()
	for _, w := range wanted {
		if !strings.Contains(said, w) {
			t.Errorf("nothing says %q:\n%s", w, said)
		}
	}
}

// loseMachine takes everything of a node away: containers, volumes, networks,
// and the bundle's files.
func (s *site) loseMachine(t *testing.T) {
	t.Helper()
	must(s.Compose(t.Context(), "-f", "compose.yaml", "down", "-v", "-t", "5"))(t)
	check(t, os.RemoveAll(s.Dir))
}

// nothing makes sure that there is no container and no volume of the node.
func (s *site) nothing(t *testing.T) {
	t.Helper()
	left := must(s.Docker(t.Context(), "ps", "-aq", "--filter", "label=com.docker.compose.project="+s.Project))(t)
	left += must(s.Docker(t.Context(), "volume", "ls", "-q", "--filter", "label=com.docker.compose.project="+s.Project))(t)
	if left != "" {
		t.Fatalf("of %s there is already: %s", s.Project, left)
	}
}

// A machine is lost. The node comes back where nothing of it is: first with the
// configuration carried over and not even the bundle's files there; then in
// another place under another name, from a bucket and with nothing carried over but
// the repository's password, by one command before somebody at a terminal.
func TestANodeComesBackWhereNothingOfItIs(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{Migration: "4", Settings: map[string]string{"CONTACT_POINT": "night-shift@example.com"}})
	s.work(t)
	if said, exit := s.terminal(t, "no", "init", "--project", s.Project); exit != 130 || !strings.Contains(said, "nothing was set up") {
		t.Errorf("no was said to init: exit code %d\n%s", exit, said)
	}
	if made, _ := os.ReadDir(s.dir); len(made) > 0 {
		t.Errorf("no was said to init, and there is %v", made)
	}
	said, exit := s.terminal(t, "yes", "init", "--project", s.Project)
	if exit != 0 {
		t.Fatalf("yes was said to init: exit code %d\n%s", exit, said)
	}
	contains(t, said, "AGE-SECRET-KEY-", "proven")
	set := value[holdfast.Set](t, s, "show", "latest")
	d := damaged{site: s, set: set.ID, identity: must(s.Identity(ctx))(t), whole: must(s.Fingerprints(ctx))(t)}

	s.loseMachine(t)
	s.nothing(t)
	plan := s.holdfast(t, 0, "restore", "latest").out
	contains(t, plan, filepath.Join(s.Dir, ".env")+" ", s.Volume("postgres-splice")+" ", s.Network()+" ", "container "+s.Container("nginx"), "create", "No second copy")
	s.nothing(t)
	s.holdfast(t, 0, "restore", "latest", "--yes")
	d.complete(t)
	if text := must(os.ReadFile(filepath.Join(s.Dir, ".env")))(t); !strings.Contains(string(text), "night-shift@example.com") {
		t.Error("the set's .env was not written")
	}

	bucket := s.copyToBucket(t)
	again := s.carryTo(t, s.Elsewhere(t))
	fromBucket := []string{"init", "--repository", bucket, "--repository-password", "file:carried.password", "--project", again.Project}
	there := damaged{site: again, set: d.set, identity: d.identity, whole: d.whole}
	said, exit = again.terminal(t, "yes", append(slices.Clone(fromBucket), "--bundle", again.Dir)...)
	if exit != 0 {
		t.Fatalf("init from the repository: exit code %d\n%s", exit, said)
	}
	contains(t, said, "In the repository: set "+string(set.ID), "-m 4", "Next: holdfast restore latest")
	r := again.holdfast(t, 7, "restore", "latest", "--yes")
	contains(t, r.err, "container "+s.Container("participant")+" of the set's project "+s.Project+" is there and running", "--original-stopped")
	again.onAnotherDaemon(t)
	s.loseMachine(t)
	again.nothing(t)
	said, exit = again.terminal(t, "no", "restore", "latest")
	if exit != 0 || !strings.Contains(said, "Nothing was done.") {
		t.Errorf("no was said to restore: exit code %d\n%s", exit, said)
	}
	again.nothing(t)
	check(t, os.Remove(filepath.Join(again.dir, "holdfast.yaml")))
	said, exit = again.terminal(t, "yes", append(slices.Clone(fromBucket), "--bundle", again.Dir, "--restore")...)
	if exit != 0 {
		t.Fatalf("restore elsewhere: exit code %d\n%s", exit, said)
	}
	beside := filepath.Join(again.Dir, ".env.of-"+string(set.ID))
	contains(t, said, "as "+beside, again.Container("participant"), "start container "+again.Container("validator"), "serving")
	if text := must(os.ReadFile(beside))(t); !strings.Contains(string(text), "night-shift@example.com") {
		t.Error("the set's .env is not beside the shipped one")
	}
	there.complete(t)

	// The bundle's own script takes what was made for its own.
	check(t, os.Rename(beside, filepath.Join(again.Dir, ".env")))
	check(t, again.Start(ctx))
	if now := must(again.Identity(ctx))(t); now != d.identity {
		t.Errorf("after start.sh the participant is %s, want %s", now, d.identity)
	}
	if next := value[holdfast.Set](t, again, "backup"); next.State != holdfast.Proven {
		t.Errorf("the next set is %s", next.State)
	}

	// Somebody has run start.sh where nothing was: it has made another node,
	// which must not be captured under the name of the lost one.
	check(t, again.Wreck(ctx, bundle.VolumeGone))
	check(t, again.Start(ctx))
	other := append(slices.Clone(fromBucket), "--config", "other.yaml", "--yes", "--recovery-key-file", "other.key")
	contains(t, again.holdfast(t, 7, other...).err, "are of participant demo-validator-1::", "and here runs participant demo-validator-1::")
	again.holdfast(t, 0, append(other, "--no-backup")...)
	contains(t, again.holdfast(t, 0, "restore", "latest", "--config", "other.yaml").out, "the live database is that of another participant")
}

// onAnotherDaemon makes sure that a daemon that knows nothing of the node is
// taken for another machine's, and that a restore which cannot have its images
// there leaves nothing behind.
func (s *site) onAnotherDaemon(t *testing.T) {
	t.Helper()
	here := s.docker
	defer func() { s.docker = here }()
	s.docker = bundle.AnotherDaemon(t)
	plan := s.holdfast(t, 0, "restore", "latest").out
	contains(t, plan, "A second copy may run: the set was taken on another machine", "fetch ", "image postgres:15")
	contains(t, s.holdfast(t, 7, "restore", "latest", "--yes").err, "--original-stopped")
	r := s.try(t, "restore", "latest", "--yes", "--original-stopped")
	if r.exit == 0 {
		t.Fatalf("restored without images\n%s%s", r.out, r.err)
	}
	contains(t, r.err, "pull image", "nothing was changed")
	cmd := exec.Command("docker", "-H", s.docker, "ps", "-aq")
	if left := must(cmd.Output())(t); len(left) > 0 {
		t.Errorf("containers are left: %s", left)
	}
	if journals := must(filepath.Glob(filepath.Join(s.dir, "*.restore.json")))(t); len(journals) > 0 {
		t.Errorf("a journal is left: %s", journals)
	}
	if files := must(filepath.Glob(filepath.Join(s.Dir, ".env.of-*")))(t); len(files) > 0 {
		t.Errorf("files are left: %s", files) // images are fetched before anything is written
	}
}
