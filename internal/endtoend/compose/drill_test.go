package compose_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/drill"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
)

// rehearse runs a drill that has to end with that exit code, and returns its
// report.
func (s *site) rehearse(t *testing.T, exit int, args ...string) drill.Report {
	t.Helper()
	var doc struct{ Value drill.Report }
	r := s.holdfast(t, exit, append([]string{"drill", "--output", "json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(r.out)).Decode(&doc); err != nil {
		t.Fatalf("%v\n%s%s", err, r.out, r.err)
	}
	return doc.Value
}

// finding is what a report says to one question.
func finding(t *testing.T, r drill.Report, code string) drill.Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Code == code {
			return f
		}
	}
	t.Fatalf("the report says nothing of %s: %+v", code, r.Findings)
	return drill.Finding{}
}

// configure puts a section for drills into the configuration, instead of the
// one that was there.
func (s *site) configure(t *testing.T, section string) {
	t.Helper()
	path := filepath.Join(s.dir, "holdfast.yaml")
	text := must(os.ReadFile(path))(t)
	before, _, _ := strings.Cut(string(text), "\n# rehearsals\n")
	check(t, os.WriteFile(path, []byte(before+"\n# rehearsals\ndrill:\n  dir: "+filepath.Join(s.dir, "drills")+"\n  keep_free: 1MiB\n"+section), 0o600))
}

// leftovers are the containers and files that drills have left.
func (s *site) leftovers(t *testing.T) (containers, files string) {
	t.Helper()
	containers = must(s.Docker(t.Context(), "ps", "-a", "--filter", "label=holdfast.drill", "--filter", "name=holdfast-drill", "--format", "{{.Names}}"))(t)
	list := must(os.ReadDir(filepath.Join(s.dir, "drills")))(t)
	for _, f := range list {
		files += f.Name() + "\n"
	}
	return containers, files
}

// noPrograms makes a machine one without server programs.
const noPrograms = "  programs: /nowhere\n"

// A set of a bundle is rehearsed in containers without a network, from the
// images that it recorded, and the participant is started on what came back.
func TestADrillInContainers(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{Migration: "4"})
	check(t, os.Mkdir(filepath.Join(s.dir, "drills"), 0o755))
	check(t, s.StartLoad(ctx, 50))
	eventually(t, "60 updates", func() bool { end, _, err := s.Progress(ctx); return err == nil && end > 60 })
	check(t, s.StopLoad(ctx))
	set := s.setUp(t)
	identity := must(s.Identity(ctx))(t)
	s.configure(t, noPrograms+"  checks:\n    participant: [SELECT count(*) > 60 FROM participant.lapi_update_meta]\n")

	plan := s.holdfast(t, 0, "drill", "--dry-run")
	if !strings.Contains(plan.out, "image postgres:15 (sha256:") || !strings.Contains(plan.out, "Docker's data in") || !strings.Contains(plan.out, "the live server in container") {
		t.Errorf("the plan says\n%s", plan.out)
	}
	t.Run("the participant is who it was", func(t *testing.T) {
		r := s.rehearse(t, 0, "--boot", "--report", "reports")
		if r.Set != set.ID || r.Verdict != holdfast.Holds || !strings.Contains(r.Server, "in a container of postgres:15") {
			t.Errorf("%+v", r)
		}
		if f := finding(t, r, "no_network"); !strings.Contains(f.Evidence, "a route to anywhere: Network is unreachable") {
			t.Errorf("%+v", f)
		}
		if r.Boot == nil || r.Boot.Participant != identity || !strings.Contains(r.Boot.Image, "/canton-participant:") || !strings.HasPrefix(r.Boot.Digest, "sha256:") || r.Boot.Took <= 0 {
			t.Errorf("%+v", r.Boot)
		}
		if f := finding(t, r, "participant_boots"); !strings.Contains(f.Evidence, identity) {
			t.Errorf("%+v", f)
		}
		if pages := must(filepath.Glob(filepath.Join(s.dir, "reports", "*.html")))(t); len(pages) != 1 || !strings.Contains(string(must(os.ReadFile(pages[0]))(t)), identity) {
			t.Errorf("reports %v", pages)
		}
	})
	for _, fault := range []struct {
		name, section string
		exit          int
		verdict       holdfast.Verdict
		evidence      string
	}{
		{"it says that it is somebody else", "  boot:\n    env: {IMITATION_CLAIM: \"mallory::1220ffff\"}\n", 4, holdfast.Violated, "says that it is mallory::1220ffff; the set's is " + identity},
		{"it ends", "  boot:\n    env: {CANTON_PARTICIPANT_POSTGRES_SCHEMA: public}\n", 4, holdfast.Violated, "no schema history table"},
		{"it does not answer", "  boot:\n    patience: 2s\n    env: {IMITATION_MUTE: \"yes\"}\n", 5, holdfast.CannotTell, "does not report its id"},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s.configure(t, fault.section)
			f := finding(t, s.rehearse(t, fault.exit, "--boot"), "participant_boots")
			if f.Verdict != fault.verdict || !strings.Contains(f.Evidence, fault.evidence) {
				t.Errorf("%+v; want %s with %q", f, fault.verdict, fault.evidence)
			}
		})
	}
	t.Run("what is missing is said before anything begins", func(t *testing.T) {
		s.configure(t, "  boot:\n    image: nowhere.invalid/participant:1\n")
		if r := s.holdfast(t, 1, "drill", "--boot"); !strings.Contains(r.err, "pull image nowhere.invalid/participant:1") {
			t.Errorf("%s", r.err)
		}
		s.configure(t, "  server: local\n")
		if r := s.holdfast(t, 2, "drill", "--boot"); !strings.Contains(r.err, "in a container") {
			t.Errorf("%s", r.err)
		}
		s.configure(t, "  server: container\n")
		full := must(os.ReadFile(filepath.Join(s.dir, "holdfast.yaml")))(t)
		check(t, os.WriteFile(filepath.Join(s.dir, "holdfast.yaml"), []byte(strings.Replace(string(full), "keep_free: 1MiB", "keep_free: 900TiB", 1)), 0o600))
		if r := s.holdfast(t, 7, "drill"); !strings.Contains(r.err, "the live server in container") || !strings.Contains(r.err, "must stay free") {
			t.Errorf("%s", r.err)
		}
	})
	if containers, files := s.leftovers(t); containers+files != "" {
		t.Errorf("after all of that there are\n%s%s", containers, files)
	}
	s.killed(t)
}

// killed kills a drill while its participant is up. The server goes with it;
// the next drill removes the rest.
func (s *site) killed(t *testing.T) {
	t.Helper()
	s.configure(t, "  boot:\n    env: {IMITATION_MUTE: \"yes\"}\n")
	cmd := s.command(t.Context(), "drill", "--boot")
	check(t, cmd.Start())
	eventually(t, "the participant runs", func() bool {
		containers, _ := s.leftovers(t)
		return strings.Contains(containers, "-participant")
	})
	check(t, cmd.Process.Kill())
	_ = cmd.Wait()
	eventually(t, "the server is gone", func() bool {
		containers, _ := s.leftovers(t)
		return strings.Count(containers, "\n") <= 1
	})
	if _, files := s.leftovers(t); files == "" {
		t.Error("a killed drill has left no directory: was it killed too late?")
	}
	s.configure(t, noPrograms)
	r := s.rehearse(t, 0)
	if !strings.Contains(r.Server, "in a container of postgres:15") || r.Boot != nil {
		t.Errorf("where no server programs are, and without --boot: %+v", r)
	}
	if said := strings.Join(r.Cleaned, "\n"); !strings.Contains(said, filepath.Join(s.dir, "drills")) {
		t.Errorf("removed was %q", said)
	}
	if containers, files := s.leftovers(t); containers+files != "" {
		t.Errorf("after the next drill there are\n%s%s", containers, files)
	}
}
