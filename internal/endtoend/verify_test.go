package endtoend

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/stored"
	"holdfast/verify"
)

// stocked is a bed with two sets, between which the node lived a little.
type stocked struct {
	*bed
	sets [2]holdfast.Set
	late []string // blobs with rows that came with the second set, within the repository
}

func newStocked(t *testing.T) stocked {
	t.Helper()
	s := stocked{bed: newBed(t, splicetest.NodeOptions{})}
	s.sets[0] = s.backup(t)
	early := blobs(t, s.Dir, "p")
	execute(t, s.ParticipantDSN(),
		"CREATE TABLE extra AS SELECT i, repeat(md5(i::text), 20) AS t FROM generate_series(1, 4000) i")
	s.sets[1] = s.backup(t)
	for _, path := range blobs(t, s.Dir, "p") {
		if !slices.Contains(early, path) {
			name, _ := filepath.Rel(s.Dir, path)
			s.late = append(s.late, name)
		}
	}
	return s
}

// Damage of every kind, in copies of one repository.
func TestVerify(t *testing.T) {
	s := newStocked(t)
	t.Run("finds damage", s.findsDamage)
	t.Run("what is marked is stored again", s.markedIsStoredAgain)
	t.Run("a copy mends", s.copyMends)
	t.Run("error correction mends", s.correctionMends)
	t.Run("samples read everything in time", s.samplesReadEverything)
	t.Run("while a backup runs", s.whileABackupRuns)
}

// copied copies the bed's repository, so that a test may damage it.
func (b *bed) copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	if err := os.CopyFS(dir, os.DirFS(b.Dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// verified verifies a repository as the program does.
func verified(
	t *testing.T, at place.Place, r verify.Request, change ...func(*verify.Job, *repository.Inspection),
) (verify.Report, error) {
	t.Helper()
	repo, err := repository.Open(t.Context(), at, holdfast.NewSecret(password))
	if err != nil {
		return verify.Report{}, err
	}
	defer func() { _ = repo.Close(context.Background()) }()
	stock, err := repo.Inspect(t.Context())
	if err != nil {
		return verify.Report{}, err
	}
	j := verify.Job{Stock: stock, Digest: postgres.Digest, Now: time.Now}
	for _, c := range change {
		c(&j, stock)
	}
	plan, err := j.Plan(t.Context(), r)
	if err != nil {
		return verify.Report{}, err
	}
	return j.Run(t.Context(), plan)
}

var everything = verify.Request{Level: verify.Data}

// blobs lists the repository's files whose names begin so, the largest first.
func blobs(t *testing.T, dir, prefix string) []string {
	t.Helper()
	sizes := map[string]int64{}
	var list []string
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		if strings.HasPrefix(strings.ReplaceAll(name, "/", ""), prefix) {
			info, err := d.Info()
			if err != nil {
				return err
			}
			sizes[path], list = info.Size(), append(list, path)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(list, func(a, b string) int { return int(sizes[b] - sizes[a]) })
	return list
}

func flipBit(t *testing.T, path string, at float64) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[int(at*float64(len(content)))] ^= 4
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func swap(t *testing.T, a, b string) {
	t.Helper()
	for _, move := range [][2]string{{a, a + ".x"}, {b, a}, {a + ".x", b}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
}

// code returns the finding of that code.
func code(r verify.Report, code string) *verify.Finding {
	i := slices.IndexFunc(r.Findings, func(f verify.Finding) bool { return f.Code == code })
	if i < 0 {
		return nil
	}
	return &r.Findings[i]
}

func verdicts(r verify.Report) string {
	var out []string
	for _, s := range r.Sets {
		out = append(out, string(s.Verdict))
	}
	return strings.Join(out, ", ")
}

// Whatever happens to a file of the repository is found, with who suffers.
func (b stocked) findsDamage(t *testing.T) {
	if report, err := verified(t, place.Directory(b.copied(t)), everything); err != nil ||
		report.Verdict != holdfast.Holds || verdicts(report) != "holds, holds" || report.Read == 0 {
		t.Fatalf("a healthy repository: %v, %+v", err, report)
	}
	for _, c := range []struct {
		name   string
		level  verify.Level
		damage func(t *testing.T, dir string)
		code   string
		sets   string // their verdicts
		table  string // that suffers
	}{
		{"a blob with rows is gone", verify.Structure, func(t *testing.T, dir string) {
			remove(t, blobs(t, dir, "p")[0])
		}, "blob_missing", "violated, violated", "participant"},
		{"a blob with rows is cut", verify.Structure, func(t *testing.T, dir string) {
			cut(t, blobs(t, dir, "p")[0], 5000)
		}, "blob_truncated", "violated, violated", "participant"},
		{"a bit is flipped", verify.Data, func(t *testing.T, dir string) {
			flipBit(t, blobs(t, dir, "p")[0], 0.3)
		}, "blob_altered", "", ""},
		{"two blobs are swapped", verify.Data, func(t *testing.T, dir string) {
			p := blobs(t, dir, "p")
			swap(t, p[0], p[1])
		}, "blob_altered", "violated, violated", ""},
		{"a blob with rows of one set alone is gone", verify.Structure, func(t *testing.T, dir string) {
			remove(t, filepath.Join(dir, b.late[0]))
		}, "blob_missing", "holds, violated", "public.extra"},
		{"a blob with directories is gone", verify.Structure, func(t *testing.T, dir string) {
			remove(t, blobs(t, dir, "q")[0])
		}, "blob_missing", "", ""},
		{"an index blob is gone", verify.Structure, func(t *testing.T, dir string) {
			remove(t, blobs(t, dir, "xn")[0])
		}, "blob_unindexed", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := b.copied(t)
			c.damage(t, dir)
			report, err := verified(t, place.Directory(dir), verify.Request{Level: c.level})
			says(t, err, holdfast.Violation)
			f := code(report, c.code)
			if f == nil || f.Verdict != holdfast.Violated || f.Evidence == "" || f.Consequence == "" || f.Next == "" {
				t.Fatalf("findings: %+v", report.Findings)
			}
			if c.sets != "" && verdicts(report) != c.sets {
				t.Errorf("the sets are %s, want %s", verdicts(report), c.sets)
			}
			if c.table != "" && !strings.Contains(fmt.Sprint(f.Suffers), c.table) {
				t.Errorf("%s is not named: %v", c.table, f.Suffers)
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func cut(t *testing.T, path string, to int64) {
	t.Helper()
	if err := os.Truncate(path, to); err != nil {
		t.Fatal(err)
	}
}

// Without a mark the next backup would reuse lost data. Marked data is stored
// again, and all sets that need it are intact again.
func (b stocked) markedIsStoredAgain(t *testing.T) {
	for name, damage := range map[string]func(dir string){
		"altered": func(dir string) { flipBit(t, blobs(t, dir, "p")[0], 0.5) },
		"missing": func(dir string) { remove(t, blobs(t, dir, "p")[0]) },
	} {
		t.Run(name, func(t *testing.T) {
			p := b.parts
			dir := b.copied(t)
			damage(dir)
			at := place.Directory(dir)
			p.Repository = openAt(t, at)
			set, err := p.job().Run(t.Context())
			if err != nil && holdfast.ClassOf(err) != holdfast.NotProven {
				t.Fatal(err)
			}
			if report, err := verified(t, at, everything); err == nil ||
				report.Sets[len(report.Sets)-1].Verdict != holdfast.Violated {
				t.Fatalf("without a mark set %s should suffer as well: %v, %s", set.ID, err, verdicts(report))
			}
			request := everything
			request.Repair = true
			report, err := verified(t, at, request)
			says(t, err, holdfast.Violation)
			if f := report.Findings[0]; f.Mended[stored.Marked] != f.Pieces ||
				!strings.Contains(f.Next, "holdfast backup") {
				t.Fatalf("the finding is %+v", f)
			}
			p.Repository = openAt(t, at)
			healed := p.backup(t)
			report, err = verified(t, at, everything)
			last := len(report.Sets) - 1
			if report.Sets[last].ID != healed.ID || report.Sets[last].Verdict != holdfast.Holds {
				t.Fatalf("after the next backup: %v, %+v", err, report.Findings)
			}
			p.mustRestore(t, healed.ID, restore.Options{OnlyProve: true})
			if name == "missing" {
				return // what only the older sets have, such as their READMEs, is gone
			}
			if err != nil || report.Verdict != holdfast.Holds {
				t.Fatalf("the older sets are not whole again: %v, %+v", err, report.Findings)
			}
			p.mustRestore(t, report.Sets[0].ID, restore.Options{OnlyProve: true})
		})
	}
}

// From another copy of the repository everything is mended at once.
func (b stocked) copyMends(t *testing.T) {
	dir := b.copied(t)
	remove(t, blobs(t, dir, "p")[0])
	flipBit(t, blobs(t, dir, "p")[0], 0.5)
	remove(t, blobs(t, dir, "q")[0])
	at := place.Directory(dir)
	request := everything
	request.Repair = true
	report, err := verified(t, at, request, func(_ *verify.Job, i *repository.Inspection) { i.Copy = b.Repository })
	if err != nil || report.Verdict != holdfast.Holds || len(report.Findings) == 0 {
		t.Fatalf("%v: %+v", err, report.Findings)
	}
	if report, err = verified(t, at, everything); err != nil || verdicts(report) != "holds, holds" ||
		len(report.Findings) > 0 {
		t.Fatalf("afterwards: %v, %+v", err, report)
	}
	p := b.parts
	p.Repository = openAt(t, at)
	p.mustRestore(t, b.sets[0].ID, restore.Options{OnlyProve: true})
}

// Where redundancy is stored, a flipped bit is put right while reading, found
// nevertheless, and rewritten.
func (b stocked) correctionMends(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "repository")
	at := place.Directory(dir)
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password),
		repository.ErrorCorrection(5)); err != nil {
		t.Fatal(err)
	}
	p := b.parts
	p.Repository = openAt(t, at)
	set := p.backup(t)
	flipBit(t, blobs(t, dir, "p")[0], 0.5)
	report, err := verified(t, at, everything)
	f := code(report, "blob_corrected")
	if err != nil || f == nil || len(f.Suffers) == 0 || verdicts(report) != "holds" {
		t.Fatalf("%v: %+v", err, report.Findings)
	}
	request := everything
	request.Repair = true
	if report, err = verified(t, at, request); err != nil || report.Findings[0].Mended[stored.Rewritten] == 0 {
		t.Fatalf("mending: %v, %+v", err, report.Findings)
	}
	if report, err = verified(t, at, everything); err != nil || len(report.Findings) > 0 {
		t.Fatalf("afterwards: %v, %+v", err, report.Findings)
	}
	p.mustRestore(t, set.ID, restore.Options{OnlyProve: true})
}

// Samples go on where the last one ended, until everything was read.
func (b stocked) samplesReadEverything(t *testing.T) {
	dir := b.copied(t)
	at := place.Directory(dir)
	var read int64
	runs := 0
	for share := 0.0; share < 1; runs++ {
		report, err := verified(t, at, verify.Request{Level: verify.Sample, Percent: 20})
		if err != nil || report.NotRecorded != "" {
			t.Fatal(err, report.NotRecorded)
		}
		if report.Share <= share {
			t.Fatalf("run %d: %v after %v", runs+1, report.Share, share)
		}
		share, read = report.Share, read+report.Read
		if share == 1 && report.Since.IsZero() {
			t.Error("everything was read, and nobody says since when")
		}
	}
	if runs > 5 {
		t.Errorf("reading everything by a fifth took %d runs", runs)
	}
	// A damage is found in the round, wherever it is.
	flipBit(t, blobs(t, dir, "p")[0], 0.6)
	for range runs {
		if report, err := verified(t, at, verify.Request{Level: verify.Sample, Percent: 20}); err != nil {
			says(t, err, holdfast.Violation)
			if code(report, "blob_altered") == nil {
				t.Errorf("%+v", report.Findings)
			}
			return
		}
	}
	t.Error("the damage was not found in a whole round")
}

// A backup that runs meanwhile is neither disturbed nor taken for damage.
func (b stocked) whileABackupRuns(t *testing.T) {
	stop := b.live(t, splicetest.Load{Rate: 40})
	defer stop()
	done := make(chan error, 1)
	go func() {
		for range 3 {
			p := b.parts
			r, err := repository.Open(t.Context(), b.At, holdfast.NewSecret(password))
			if err != nil {
				done <- err
				return
			}
			p.Repository = r
			_, err = p.job().Run(t.Context())
			_ = r.Close(context.Background())
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for running := true; running; {
		if report, err := verified(t, b.At, everything); err != nil {
			t.Fatalf("%v: %+v", err, report.Findings)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
		}
	}
}
