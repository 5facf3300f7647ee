package compose_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"holdfast/restore"
	"holdfast/step"
)

var fingerprint = regexp.MustCompile(`(1220[0-9a-f]{8})[0-9a-f]{56}`)

// did makes sure that a command says exactly the steps of its plan, in their
// order.
func (s *site) did(t *testing.T, plan []step.Step, args ...string) {
	t.Helper()
	var want, got []string
	for _, p := range plan {
		want = append(want, fingerprint.ReplaceAllString(p.String(), "$1..."))
	}
	acts := regexp.MustCompile(`^(disable restart|stop|replace|create|build|rename|start|enable restart|remove|drop) `)
	for _, line := range strings.Split(s.holdfast(t, 0, args...).err, "\n") {
		if acts.MatchString(line) {
			got = append(got, line)
		}
	}
	if len(want) == 0 || !slices.Equal(got, want) {
		t.Errorf("holdfast %s did\n%s\nthe plan was\n%s", strings.Join(args, " "), strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// asPlanned makes sure that the plan that is shown is what is done, by a restore
// and by its undo, and that an undo with nothing to undo touches nothing.
func (d *damaged) asPlanned(t *testing.T) {
	plan := value[restore.Plan](t, d.site, "restore", string(d.set))
	d.did(t, plan.Steps, "restore", string(d.set), "--yes")
	d.complete(t)

	undo := value[restore.UndoPlan](t, d.site, "restore", "undo")
	d.did(t, undo.Steps, "restore", "undo", "--yes")
	d.untouched(t)

	started := func() string {
		return must(d.Docker(t.Context(), "inspect", "-f", "{{.Name}} {{.State.StartedAt}} {{.HostConfig.RestartPolicy.Name}}",
			d.Container("postgres-splice"), d.Container("participant"), d.Container("validator")))(t)
	}
	before := started()
	contains(t, d.holdfast(t, 7, "restore", "undo", "--yes").err, "there is nothing to undo")
	if after := started(); after != before {
		t.Errorf("an undo with nothing to undo has made of\n%s\nthis:\n%s", before, after)
	}
}
