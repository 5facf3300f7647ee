package compose_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/restore"
)

// overlay is what operators add to a bundle: a configuration that only a reader
// of HOCON understands, a console with the participant's variables that has
// exited, and a program that holds the participant's database.
const overlay = `services:
  validator:
    environment:
      - |
        ADDITIONAL_CONFIG_PERSISTENCE=
          # canton.validator-apps.validator_backend.storage.config.properties.databaseName = old
          canton.validator-apps.validator_backend.storage {
            type = postgres
            config.properties = {
              databaseName = first // and set again below
              currentSchema = validator
              serverName = postgres-splice, portNumber = 5432
              user = cnadmin
              password = """supersafe"""
            }
          }
      - ADDITIONAL_CONFIG_ZZZ=canton.validator-apps.validator_backend.storage.config.properties.databaseName = "valid"ator
  zz-console:
    extends: {file: compose.yaml, service: participant}
    entrypoint: [/splice, page]
    healthcheck: {test: [CMD, /splice, healthy]}
    restart: "no"
  reports:
    image: postgres:${SPLICE_POSTGRES_VERSION}
    entrypoint: [psql, "postgres://cnadmin:supersafe@postgres-splice/participant?application_name=reports", -c, select pg_sleep(100000)]
    depends_on: [participant, validator]
    restart: always
    networks: ["${DOCKER_NETWORK:-splice_validator}"]
`

// newSiteWith is newSite with the operator's own compose file.
func newSiteWith(t *testing.T, o bundle.Options, overlay string) *site {
	t.Helper()
	s := &site{Bundle: bundle.Unpack(t, o), dir: t.TempDir(), docker: os.Getenv("HOLDFAST_TEST_DOCKER")}
	check(t, os.WriteFile(filepath.Join(s.Dir, "compose-local.yaml"), []byte(overlay), 0o644))
	check(t, s.Start(t.Context()))
	return s
}

// says fails unless an output has all of the texts.
func says(t *testing.T, output string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(output, text) {
			t.Errorf("nothing says %q:\n%s", text, output)
		}
	}
}

// advised is the command in an output that begins like that.
func advised(t *testing.T, output, begins string) string {
	t.Helper()
	_, rest, found := strings.Cut(output, "`"+begins)
	command, _, ended := strings.Cut(rest, "`")
	if !found || !ended {
		t.Fatalf("nothing advises %s:\n%s", begins, output)
	}
	return begins + command
}

// types runs a command as the operator types it, which has to end with that exit
// code.
func (s *site) types(t *testing.T, exit int, command string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "DOCKER_HOST="+s.docker, "HOLDFAST_CONFIG=holdfast.yaml",
		"PATH="+filepath.Dir(holdfastPath)+":/usr/bin:/bin")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	_ = cmd.Run() // the exit code says it
	r := result{out.String(), complaint.String(), cmd.ProcessState.ExitCode()}
	if r.exit != exit {
		t.Fatalf("%s: exit code %d, want %d\n%s%s", command, r.exit, exit, r.out, r.err)
	}
	return r
}

// typesAll runs every command that a refusal advises, in its order: with consent
// to a restore, and with a directory of its own for DIR.
func (s *site) typesAll(t *testing.T, advice string) {
	t.Helper()
	for _, m := range regexp.MustCompile("`((?:docker|holdfast) [^`]+)`").FindAllStringSubmatch(advice, -1) {
		command := strings.ReplaceAll(m[1], "DIR", filepath.Join(s.dir, "exported"))
		if strings.HasPrefix(command, "holdfast restore ") && !strings.Contains(command, "--yes") {
			command += " --yes"
		}
		s.types(t, 0, command)
	}
}

// began is when a service's container was started last.
func (s *site) began(t *testing.T, service string) string {
	t.Helper()
	return strings.TrimSpace(must(s.Docker(t.Context(), "inspect", "-f", "{{.State.StartedAt}}", s.Container(service)))(t))
}

// A node with more in it than the bundle has: who is who is decided by evidence,
// and whoever holds a database is stopped.
func TestANodeWithMoreInIt(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	s := newSiteWith(t, bundle.Options{}, overlay)
	check(t, s.Halt(ctx, "zz-console"))
	s.work(t)
	must(s.SQL(ctx, "postgres", "CREATE ROLE app LOGIN"))(t)
	must(s.SQL(ctx, "postgres", "CREATE DATABASE backend OWNER app"))(t)
	r := s.holdfast(t, 0, "init", "--project", s.Project, "--yes", "--recovery-key-file", "key")
	says(t, r.out+r.err, s.Container("participant"), "passed over", s.Container("zz-console"))
	says(t, r.out+r.err, "Not in this set: database backend", "owned by app", "Not in this set: role app", "container "+s.Container("reports"))
	r = s.holdfast(t, 4, "check", "--only", "databases_covered,postgres_supported", "--output", "json")
	says(t, r.out+r.err, "in no set: database backend", "in use by a live participant", "a live validator")
	for _, args := range [][]string{{"backup"}, {"show", "latest"}} {
		says(t, s.holdfast(t, 0, args...).out, "Not in this set: database backend", "Not in this set: role app")
	}
	set := value[holdfast.Set](t, s, "show", "latest")
	before := must(s.Fingerprints(ctx))(t)
	s.work(t)

	// A session that no container explains is named while the node still runs.
	must(s.Docker(ctx, "exec", "-d", s.Container("postgres-splice"), "psql", "-U", "cnadmin", "-d", "validator", "-c", "select pg_sleep(1000)"))(t)
	eventually(t, "a session", func() bool {
		n, err := s.SQL(ctx, "postgres", "select count(*) from pg_stat_activity where datname = 'validator' and application_name = 'psql'")
		return err == nil && n == "1"
	})
	began := s.began(t, "participant")
	r = s.holdfast(t, 7, "restore", string(set.ID), "--yes")
	says(t, r.out+r.err, "psql", "pg_terminate_backend(")
	s.types(t, 0, advised(t, r.err, "holdfast restore rehearse"))
	if now := s.began(t, "participant"); now != began {
		t.Errorf("the refusal came after an outage: the participant was started at %s and at %s", began, now)
	}
	end := r.err[strings.Index(r.err, "SELECT pg_terminate_backend"):]
	must(s.SQL(ctx, "postgres", end[:strings.Index(end, ";")]))(t)

	// The program that holds the participant's database is stopped, and started again.
	began = s.began(t, "reports")
	if report := value[restore.Report](t, s, "restore", string(set.ID), "--yes"); !report.Serving {
		t.Errorf("the report: %+v", report)
	}
	if differ := bundle.Differences(before, must(s.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Errorf("what came back differs: %s", differ)
	}
	for service, want := range map[string]string{"reports": "running", "participant": "healthy", "zz-console": "exited"} {
		if state := s.State(ctx, service); state != want {
			t.Errorf("%s is %s", service, state)
		}
	}
	if s.began(t, "reports") == began {
		t.Error("what holds the participant's database was not stopped")
	}
	s.holdfast(t, 0, "restore", "undo", "--yes")
	if s.State(ctx, "reports") != "running" || must(s.Docker(ctx, "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", s.Container("reports")))(t) != "always\n" {
		t.Error("what holds the participant's database is not as it was after the undo")
	}

	// A volume that makes room takes what no set has with it: that is said before,
	// and before the volume is dropped.
	r = s.holdfast(t, 0, "restore", string(set.ID), "--fresh-volume", "--yes")
	says(t, r.out+r.err, "database backend", "goes aside with")
	r = s.holdfast(t, 0, "restore", "clean")
	says(t, r.out, "in no set: database backend")
	_, volume, _ := strings.Cut(r.out, "Only in ")
	volume, _, _ = strings.Cut(volume, ",")
	r = s.holdfast(t, 7, "restore", "clean", volume)
	says(t, r.err, "database backend", "It may be the only copy")
	s.types(t, 0, advised(t, r.err, "holdfast restore clean"))
	if left := must(s.Docker(ctx, "volume", "ls", "-q", "--filter", "name="+volume))(t); left != "" {
		t.Errorf("the volume is still there: %s", left)
	}
}

// What an operator's Postgres may do to whoever reaches it: each refusal is got
// round, or says what to type.
func TestAServerThatDoesNotLetIn(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{})
	s.work(t)
	set := s.setUp(t)
	postgres := s.Container("postgres-splice")

	// pg_hba.conf rejects the bridge's gateway, where a program of the host comes from.
	gateway := strings.TrimSpace(must(s.Docker(ctx, "network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", s.Network()))(t))
	hba := func(edit string) {
		must(s.Docker(ctx, "exec", postgres, "sh", "-c", "sed -i '"+edit+"' $PGDATA/pg_hba.conf && psql -U cnadmin -d postgres -c 'select pg_reload_conf()'"))(t)
	}
	hba("1i host all all " + gateway + "/32 reject")
	s.holdfast(t, 0, "backup")
	if r := s.holdfast(t, 0, "node", "show"); !strings.Contains(r.out, "docker exec") {
		t.Errorf("nothing says that the databases are reached by docker exec:\n%s", r.out)
	}
	// Nobody is let in over the network: the line that lets in is printed.
	hba("1i host all all all reject")
	r := s.holdfast(t, 9, "backup")
	_, line, _ := strings.Cut(r.err, "rejects it: `")
	line, _, _ = strings.Cut(line, "`")
	_, user, _ := strings.Cut(line, `" "`) // of whichever database was first
	says(t, line, `host "`, `"cnadmin" 127.0.0.1/32 scram-sha-256`)
	hba(`1i host all "` + user)
	// The programs are shut out as well, so the identities may be missing.
	if r := s.try(t, "backup"); r.exit != 0 && r.exit != 3 {
		t.Fatalf("the line that is advised does not let in: exit code %d\n%s%s", r.exit, r.out, r.err)
	}
	hba("1,3d")

	// A server that does not run, and the commands that the refusal names.
	check(t, s.Halt(ctx, "postgres-splice"))
	r = s.holdfast(t, 8, "backup")
	s.types(t, 0, advised(t, r.err, "docker start "))
	s.types(t, 0, advised(t, r.err, "docker logs "))
	eventually(t, "the node is ready", func() bool { return s.Ready(ctx) == nil })

	// A paused server, and the command that the refusal names.
	// Docker gives up on processes that a busy machine does not freeze at once.
	eventually(t, "Docker pauses Postgres", func() bool {
		_, err := s.Docker(ctx, "pause", postgres)
		return err == nil
	})
	r = s.holdfast(t, 8, "backup")
	s.types(t, 0, advised(t, r.err, "docker unpause "))
	s.holdfast(t, 0, "backup")

	// Somebody starts the participant while the databases are built.
	restored := s.command(ctx, "restore", string(set.ID), "--yes")
	var out bytes.Buffer
	restored.Stdout, restored.Stderr = &out, &out
	check(t, restored.Start())
	eventually(t, "the participant is stopped", func() bool { return s.State(ctx, "participant") == "exited" })
	must(s.Docker(ctx, "start", s.Container("participant")))(t)
	if err := restored.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	check(t, s.Ready(ctx))
	s.asItShouldRun(t)

	// Somebody gives it a restart policy as well: what the refusal names leads on.
	restored = s.command(ctx, "restore", string(set.ID), "--yes")
	var complaint bytes.Buffer
	restored.Stderr = &complaint
	check(t, restored.Start())
	eventually(t, "the participant is stopped", func() bool { return s.State(ctx, "participant") == "exited" })
	must(s.Docker(ctx, "update", "--restart", "always", s.Container("participant")))(t)
	must(s.Docker(ctx, "start", s.Container("participant")))(t)
	if err := restored.Wait(); err == nil {
		t.Fatalf("restored under a participant that runs\n%s", complaint.String())
	}
	s.types(t, 0, advised(t, complaint.String(), "docker stop "))
	s.holdfast(t, 0, "restore", string(set.ID), "--yes")
	check(t, s.Ready(ctx))
	s.asItShouldRun(t)
}
