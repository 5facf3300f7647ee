package compose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest/bundle"
)

// contexts makes a configuration of Docker with contexts, by Docker's own
// command; the first is the current one.
func (s *site) contexts(t *testing.T, hosts ...[2]string) (directory string) {
	t.Helper()
	directory = t.TempDir()
	docker := func(args ...string) {
		t.Helper()
		cmd := exec.Command("docker", args...)
		cmd.Env = append(os.Environ(), "DOCKER_CONFIG="+directory)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	for _, h := range hosts {
		docker("context", "create", h[0], "--docker", "host="+h[1])
	}
	docker("context", "use", hosts[0][0])
	return directory
}

// stranger is an ssh that reaches the test bed's daemon whatever machine it is
// asked for, and writes down what it was called with.
func (s *site) stranger(t *testing.T) (path string) {
	t.Helper()
	path = t.TempDir()
	script := "#!/bin/sh\necho \"$@\" >>" + filepath.Join(path, "called") + "\nexec docker -H " + s.docker + " system dial-stdio\n"
	check(t, os.WriteFile(filepath.Join(path, "ssh"), []byte(script), 0o755))
	return path
}

// The daemon is the one that the docker command would find: by DOCKER_HOST, by
// DOCKER_CONTEXT, by the current context; on this machine or through ssh.
func TestTheDaemonIsTheOneOfTheDockerCommand(t *testing.T) {
	t.Parallel()
	s := newSite(t, bundle.Options{Migration: "4"})
	s.work(t)
	s.setUp(t)
	host := s.docker
	path := s.stranger(t)
	config := "DOCKER_CONFIG=" + s.contexts(t, [2]string{"here", host}, [2]string{"gone", "unix:///nowhere/docker.sock"}, [2]string{"far", "ssh://operator@validator-7.example"})
	refuses := t.TempDir()
	check(t, os.WriteFile(filepath.Join(refuses, "ssh"), []byte("#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n"), 0o755))
	far := "PATH=" + path + ":/usr/bin:/bin"
	for _, c := range []struct {
		name string
		env  []string
		exit int
		said string
	}{
		{"the current context", []string{config}, 0, s.Container("participant")},
		{"a context of the environment", []string{config, "DOCKER_CONTEXT=here"}, 0, s.Container("participant")},
		{"an address before a context", []string{config, "DOCKER_CONTEXT=gone", "DOCKER_HOST=" + host}, 0, s.Container("participant")},
		{"a context whose daemon is not there", []string{config, "DOCKER_CONTEXT=gone"}, 8, "DOCKER_HOST or the docker context names it"},
		{"a context that is not there", []string{config, "DOCKER_CONTEXT=elsewhere"}, 2, "context elsewhere"},
		{"through ssh, by a context", []string{config, far, "DOCKER_CONTEXT=far"}, 0, "docker exec"},
		{"through ssh, by an address", []string{far, "DOCKER_HOST=ssh://operator@validator-7.example"}, 0, "docker exec"},
		{"through ssh, to a machine that refuses", []string{"PATH=" + refuses, "DOCKER_HOST=ssh://operator@validator-7.example"}, 8, "DOCKER_HOST=ssh://operator@validator-7.example docker info"},
		{"through ssh, without an ssh", []string{"PATH=/usr/sbin", "DOCKER_HOST=ssh://operator@validator-7.example"}, 8, "DOCKER_HOST=ssh://operator@validator-7.example docker info"},
	} {
		s.docker, s.env = "", c.env
		r := s.try(t, "node", "show")
		if said := r.out + r.err; r.exit != c.exit || !strings.Contains(said, c.said) {
			t.Errorf("%s: exit code %d, want %d, and nothing says %q:\n%s", c.name, r.exit, c.exit, c.said, said)
		}
	}
	if called := string(must(os.ReadFile(filepath.Join(path, "called")))(t)); !strings.Contains(called, "validator-7.example") || !strings.Contains(called, "docker system dial-stdio") {
		t.Errorf("ssh was called with %q", called)
	}

	// The command that the refusal names is what finds out when the machine answers.
	s.env = []string{"PATH=" + refuses, "DOCKER_HOST=ssh://operator@validator-7.example"}
	command := advised(t, s.holdfast(t, 8, "node", "show").err, "DOCKER_HOST=")
	cmd := exec.Command("sh", "-c", command)
	cmd.Env = append(os.Environ(), far)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v: %s", command, err, out)
	}

	// A set through ssh is a set like any other, but for the bundle's files.
	s.env = []string{far}
	file := filepath.Join(s.dir, "holdfast.yaml")
	text := string(must(os.ReadFile(file))(t))
	check(t, os.WriteFile(file, []byte(strings.Replace(text, "compose:\n", "compose:\n  docker_host: ssh://operator@validator-7.example\n", 1)), 0o600))
	set := value[holdfast.Set](t, s, "backup")
	if set.State != holdfast.Proven || len(set.Deployment.Kept) > 0 || !strings.Contains(strings.Join(set.Deployment.NotKept, " "), "ssh://operator@validator-7.example") {
		t.Errorf("through ssh the set is %s, kept are %v, not kept %q", set.State, set.Deployment.Kept, set.Deployment.NotKept)
	}
}
