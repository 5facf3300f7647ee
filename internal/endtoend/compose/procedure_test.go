package compose_test

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"holdfast/internal/splicetest"
	"holdfast/internal/splicetest/bundle"
)

// procedure is the published way back from two dumps (Splice:
// validator_disaster_recovery), as commands of a shell in the bundle's
// directory, with the name of the volume corrected and with the variable
// exported without which Postgres does not start alone.
func (s *site) procedure(validator, participant string) []string {
	psql := "docker exec -i " + s.Container("postgres-splice") + " psql -q -U cnadmin "
	return []string{
		"./stop.sh",
		"docker volume rm -f " + s.Volume("postgres-splice"),
		"PARTICIPANT_DB_NAME=participant-4 IMAGE_TAG=0.6.11 docker compose up -d postgres-splice",
		"until docker exec " + s.Container("postgres-splice") + " psql -h 127.0.0.1 -U cnadmin -c 'select 1' participant-4; do sleep 0.2; done",
		psql + "validator <" + validator,
		psql + "participant-4 <" + participant,
		"docker compose down",
		"./start.sh " + quoted(s.Flags()),
	}
}

func quoted(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, "'"+w+"'")
	}
	return strings.Join(out, " ")
}

// shell runs the commands one after the other, as somebody does who looks at
// each one's exit code, and says which of them reported a failure.
func (s *site) shell(t *testing.T, commands []string) (complained []string, took time.Duration) {
	t.Helper()
	began := time.Now()
	for _, command := range commands {
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = s.Dir, s.Environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			complained = append(complained, command)
			t.Logf("%s: %v\n%s", command, err, out)
		}
	}
	return complained, time.Since(began)
}

// dump writes plain dumps of both databases, as the published backup does.
func (s *site) dump(t *testing.T, database string) string {
	t.Helper()
	file := filepath.Join(s.dir, database+".sql")
	out := must(s.Exec(t.Context(), "postgres-splice", "pg_dump", "-U", "cnadmin", database))(t)
	check(t, os.WriteFile(file, []byte(out), 0o600))
	return file
}

// The published procedure and one command, on the same loss: what each needs,
// and what each says of a backup that is damaged. docs/restore.md has the
// table; -v prints the figures. By flag: the published one is others' to keep.
// What Holdfast does with a damaged set, TestHoldfastIsKilledDuringARestore shows.
func TestThePublishedProcedureSideBySide(t *testing.T) {
	splicetest.OnlyLong(t)
	t.Parallel()
	ctx := t.Context()
	s := newSite(t, bundle.Options{Migration: "4"})
	s.work(t)
	set := s.setUp(t).ID
	want := must(s.Fingerprints(ctx))(t)
	validator, participant := s.dump(t, "validator"), s.dump(t, "participant-4")
	check(t, s.Wreck(ctx, bundle.VolumeGone))
	commands := s.procedure(validator, participant)
	complained, took := s.shell(t, commands)
	t.Logf("the published procedure: %d commands, %.0f s, reported: %q", len(commands), took.Seconds(), complained)
	if differ := bundle.Differences(want, must(s.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Logf("and what it brought back differs: %s", differ)
	}

	check(t, s.Wreck(ctx, bundle.VolumeGone))
	began := time.Now()
	s.holdfast(t, 0, "restore", string(set), "--yes")
	t.Logf("holdfast: 1 command, %.0f s", time.Since(began).Seconds())
	if differ := bundle.Differences(want, must(s.Fingerprints(ctx))(t)); len(differ) > 0 {
		t.Errorf("what came back differs: %s", differ)
	}

	// A dump that ends in the middle of a table's rows: psql says nothing.
	whole := must(os.ReadFile(participant))(t)
	middle := bytes.Index(whole, []byte("COPY participant.par_"))
	if middle < 0 {
		t.Fatal("the dump has no such table")
	}
	check(t, os.WriteFile(participant, whole[:middle+bytes.IndexByte(whole[middle:], '\n')+1], 0o600))
	check(t, s.Wreck(ctx, bundle.VolumeGone))
	complained, _ = s.shell(t, s.procedure(validator, participant))
	differ := bundle.Differences(want, must(s.Fingerprints(ctx))(t))
	t.Logf("the published procedure, fed a truncated dump, reported %q; what it brought back differs in %d places", complained, len(differ))
	for _, command := range complained {
		if strings.Contains(command, "psql -q") {
			t.Errorf("psql complained: the table in docs/restore.md says that it does not: %s", command)
		}
	}
	if len(differ) == 0 {
		t.Error("the truncated dump was whole")
	}
}

// cutLargest cuts the repository's largest file in half.
func cutLargest(t *testing.T, repository string) {
	t.Helper()
	var largest string
	var size int64
	check(t, filepath.WalkDir(repository, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		if name, err := filepath.Rel(repository, path); err != nil || !strings.HasPrefix(name, "p") { // pieces of data, not of indexes
			return err
		}
		if info, err := e.Info(); err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return nil
	}))
	if largest == "" {
		t.Fatalf("no data below %s", repository)
	}
	check(t, os.Chmod(largest, 0o600))
	check(t, os.Truncate(largest, size/2))
}
