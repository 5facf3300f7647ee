package compose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
	"holdfast/restore"
	"holdfast/step"
)

// digest is that of a volume, with Postgres down.
func (s *site) digest(t *testing.T, volume string) string {
	t.Helper()
	return must(s.VolumeDigest(t.Context(), volume))(t)
}

// kept is the one volume that a restore has left in a role.
func (s *site) kept(t *testing.T, role string) string {
	t.Helper()
	out := must(s.Docker(t.Context(), "volume", "ls", "-q", "--filter", "label=holdfast.project="+s.Project, "--filter", "label=holdfast.role="+role))(t)
	names := strings.Fields(out)
	if len(names) != 1 {
		t.Fatalf("volumes left as %s: %q", role, names)
	}
	return names[0]
}

// keeping is the step that keeps a volume; nil where none does.
func keeping(p restore.Plan) *step.Step {
	for i := range p.Steps {
		if p.Steps[i].Act == step.Keep {
			return &p.Steps[i]
		}
	}
	return nil
}

// The data directory is written over, and Postgres does not start: the restore
// keeps the volume under another name and comes up on an empty one. Taken back,
// killed or repeated, what was on the volume stays as it was, byte for byte.
func TestAVolumeThatPostgresCannotStartOnIsKept(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	d := newDamaged(t, bundle.Options{Migration: "4"})
	volume := d.Volume("postgres-splice")
	check(t, d.Ruin(ctx))
	garbage := d.digest(t, volume)

	plan := value[restore.Plan](t, d.site, "restore", string(d.set))
	part := keeping(plan)
	if part == nil || part.Name != volume || !strings.HasPrefix(part.As, volume+".before-"+string(d.set)+".at-") || !strings.Contains(part.Why, "does not start") {
		t.Fatalf("the plan keeps %+v", part)
	}

	d.killed(t, "keep volume "+volume)
	repository := filepath.Join(d.dir, "repository")
	check(t, os.Rename(repository, repository+".gone")) // the way back needs no set
	d.holdfast(t, 0, "restore", "undo", "--yes")
	check(t, os.Rename(repository+".gone", repository))
	if now := d.digest(t, volume); now != garbage {
		t.Error("killed and undone, the volume is not what it was")
	}

	d.killed(t, "start container "+d.Container("postgres-splice"))
	if now := d.digest(t, d.kept(t, "before")); now != garbage {
		t.Error("what was kept is not what was on the volume")
	}
	d.holdfast(t, 0, "restore", string(d.set), "--yes")
	d.complete(t)
	if now := d.digest(t, d.kept(t, "before")); now != garbage {
		t.Error("after the restore, what was kept is not what was on the volume")
	}
	contains(t, d.holdfast(t, 0, "restore", "clean").out, d.kept(t, "before"), "the volume "+volume+", live until the set replaced it")

	r := d.holdfast(t, 0, "restore", "undo", "--yes")
	contains(t, r.out+r.err, volume+" is now ", "everything is left stopped")
	if now := d.digest(t, volume); now != garbage {
		t.Error("taken back, the volume is not what it was")
	}

	r = d.holdfast(t, 0, "restore", "clean") // with Postgres down
	contains(t, r.out+r.err, d.kept(t, "undone"), "restored, and taken back", "left are unknown")
	d.holdfast(t, 0, "restore", "clean", d.kept(t, "undone"))

	// A major version that is not the image's is known without a start.
	must(d.Docker(ctx, "run", "--rm", "--network", "none", "--user", "0", "-v", volume+":/data", "--entrypoint", "sh", "postgres:15", "-c", "echo 13 >/data/PG_VERSION"))(t)
	plan = value[restore.Plan](t, d.site, "restore", string(d.set))
	if part := keeping(plan); part == nil || !strings.Contains(part.Why, "it is of Postgres 13, and container "+d.Container("postgres-splice")+" runs Postgres 15") {
		t.Errorf("of another major version the plan keeps %+v", part)
	}
}
