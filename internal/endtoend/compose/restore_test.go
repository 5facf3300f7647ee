package compose_test

import (
	"os"
	"strings"
	"testing"

	"holdfast"
	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/restore"
)

// A node is found and captured under load with one command, wrecked in every
// way, and comes back each time with one command: with the identity and the
// data of the set.
func TestEveryWreckIsRestored(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{Migration: "4"})
	check(t, s.StartLoad(ctx, 50))
	eventually(t, "60 updates", func() bool { end, _, err := s.Progress(ctx); return err == nil && end > 60 })
	set := s.setUp(t)
	if set.State != holdfast.Proven || set.Deployment == nil {
		t.Fatalf("the first set, taken under load, is %s, its deployment %v", set.State, set.Deployment)
	}
	check(t, s.StopLoad(ctx))
	set = value[holdfast.Set](t, s, "backup")
	identity := must(s.Identity(ctx))(t)
	before := must(s.Fingerprints(ctx))(t)

	wrecks := bundle.Wrecks
	if !splicetest.Long() {
		wrecks = wrecks[:1] // other tests restore from others
	}
	for _, wreck := range wrecks {
		t.Run(strings.ReplaceAll(string(wreck), " ", "-"), func(t *testing.T) {
			check(t, s.Wreck(ctx, wreck))
			if wreck == bundle.Wrecks[0] { // once as people see it
				r := s.holdfast(t, 0, "restore", string(set.ID), "--yes")
				if want := "the participant says that it is " + strings.TrimPrefix(identity, "PAR::")[:30]; !strings.Contains(r.out+r.err, want) {
					t.Errorf("nothing says %q:\n%s%s", want, r.out, r.err)
				}
			} else if report := value[restore.Report](t, s, "restore", string(set.ID), "--yes"); !report.Serving || !report.Swapped {
				t.Errorf("the report says serving %v, swapped %v", report.Serving, report.Swapped)
			}
			check(t, s.Ready(ctx))
			if now := must(s.Identity(ctx))(t); now != identity {
				t.Errorf("the participant is %s, want %s", now, identity)
			}
			if differ := bundle.Differences(before, must(s.Fingerprints(ctx))(t)); len(differ) > 0 {
				t.Errorf("what came back differs: %s", differ)
			}
			s.asItShouldRun(t)
		})
	}
}

// asItShouldRun makes sure that nothing of a restore is left in how the
// containers run.
func (s *site) asItShouldRun(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	for _, service := range []string{"postgres-splice", "participant", "validator", "nginx"} {
		if policy := strings.TrimSpace(must(s.Docker(ctx, "inspect", "-f", "{{.HostConfig.RestartPolicy.Name}}", s.Container(service)))(t)); policy != "always" {
			t.Errorf("the restart policy of %s is %q", service, policy)
		}
	}
	if list := must(s.Docker(ctx, "ps", "-a", "--format", "{{.Names}}", "--filter", "name="+s.Project))(t); strings.Contains(list, ".before-") {
		t.Errorf("containers are left over:\n%s", list)
	}
	if files, _ := os.ReadDir(s.dir); len(files) > 0 {
		for _, f := range files {
			if strings.HasSuffix(f.Name(), ".restore.json") {
				t.Errorf("a journal is left over: %s", f.Name())
			}
		}
	}
}
