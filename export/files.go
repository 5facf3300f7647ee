package export

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"holdfast"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/durable"
)

// Options tune an export. The zero value is usable.
type Options struct {
	Events event.Listener // bytes written
}

// Report is what an export wrote.
type Report struct {
	Dir   string `json:"dir"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// partial is what the name of a directory ends with while it is being written.
const partial = ".partial"

// Files writes the files of a set, and a script that restores them, into dir,
// which must not exist or be empty. dir appears whole or not at all; after a
// failure nothing is left. A set that is not proven is exported as any other,
// but the script refuses to restore it without its flag.
func Files(
	ctx context.Context, set holdfast.Set, files holdfast.Files, dir string, o Options,
) (report Report, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return report, err
	}
	if err := vacant(dir); err != nil {
		return report, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return report, cannotWrite(dir, err)
	}
	x := &exporter{set: set, files: files, dir: dir + partial, progress: o.Events}
	for _, c := range set.Parts() {
		x.total += c.Bytes
	}
	if err := os.Mkdir(x.dir, 0o700); errors.Is(err, fs.ErrExist) {
		return report, &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("export to %s: there is a %s already", dir, x.dir),
			Why:   "Another export is writing it, or one was killed and left it; what is in it is not encrypted.",
			Do:    "If no other export is running, remove it: rm -r '" + x.dir + "'",
		}
	} else if err != nil {
		return report, cannotWrite(dir, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(x.dir))
		}
	}()
	if err := x.run(ctx); err != nil {
		return report, fmt.Errorf("export set %s: %w", set.ID, err)
	}
	if err := x.publish(dir); err != nil {
		return report, cannotWrite(dir, err)
	}
	return Report{Dir: dir, Files: x.count, Bytes: x.bytes}, nil
}

// vacant refuses a directory that has something in it.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return cannotWrite(dir, err)
	case len(entries) > 0:
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("export to %s: it is not empty", dir),
			Why:   "Files of two exports in one directory could be restored together.",
			Do:    "Name a directory that does not exist yet.",
		}
	}
	return nil
}

func cannotWrite(dir string, err error) error {
	var already *holdfast.Problem
	if errors.As(err, &already) {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  "export to " + dir,
		Err:   err,
		Why:   "Nothing was exported.",
		Do:    "Name a directory on a disk that has room, and whose parent can be written.",
	}
}

// exporter writes one directory.
type exporter struct {
	set      holdfast.Set
	files    holdfast.Files
	dir      string
	progress event.Listener
	total    int64

	count int
	bytes int64
	sums  map[holdfast.ComponentName]*strings.Builder
}

func (x *exporter) run(ctx context.Context) error {
	x.sums = map[holdfast.ComponentName]*strings.Builder{}
	for _, name := range append([]string{holdfast.ManifestName}, x.set.FileNames()...) {
		if err := x.fetch(ctx, name); err != nil {
			return err
		}
	}
	for _, c := range x.set.Parts() {
		if err := x.component(ctx, c); err != nil {
			return err
		}
	}
	state, problems := worth(x.set)
	if len(problems) > 0 {
		if err := x.write("", "_problems.txt", strings.Join(problems, "\n")+"\n"); err != nil {
			return err
		}
	}
	script := strings.NewReplacer("@SET@", shellWord(string(x.set.ID)), "@NODE@", shellWord(string(x.set.Node.Name)),
		"@STATE@", shellWord(string(state))).Replace(restoreScript)
	if err := x.write("", "restore.sh", script); err != nil {
		return err
	}
	return os.Chmod(filepath.Join(x.dir, "restore.sh"), 0o700) //nolint:gosec // a script is run by its owner
}

// worth recomputes what the set is worth, and says what speaks against it.
func worth(set holdfast.Set) (holdfast.State, []string) {
	var texts []string
	for _, p := range set.Problems() {
		texts = append(texts, p.Error())
	}
	set.Prove()
	if set.State == holdfast.Proven && len(texts) > 0 {
		set.State = holdfast.Unproven
	}
	return set.State, texts
}

//go:embed restore.sh
var restoreScript string

// shellWord makes a text safe between single quotes.
func shellWord(s string) string { return strings.ReplaceAll(s, "'", `'\''`) }

// component writes what restore.sh needs for one component.
func (x *exporter) component(ctx context.Context, c holdfast.Part) error {
	d := dialectOf(c)
	rows, err := content.RowsOf(c)
	if err != nil {
		return err
	}
	globals, err := readAll(ctx, x.files, rows.Globals)
	if err != nil {
		return err
	}
	var segments strings.Builder
	dir := string(c.Component) + "/restore/"
	put := func(name, text string) {
		if err == nil {
			err = x.write(c.Component, dir+name, text)
		}
	}
	for i, t := range rows.Tables {
		put(fmt.Sprintf("copy/%05d.sql", i+1), "\\set QUIET off\n"+d.copyIn(t, t.Format))
		for _, s := range t.Segments {
			fmt.Fprintf(&segments, "%05d %d %s\n", i+1, s.Rows, s.File)
		}
	}
	put("pins.sql", d.pins())
	put("check.sql", d.check(c))
	put("roles.sql", d.missingRoles(c)+";\n")
	put("settings.sql", d.settings(c, globals))
	put("segments.txt", segments.String())
	put("aside.sql", d.aside(c, globals)+"SELECT pg_catalog.current_setting('holdfast.aside');\n")
	put("sequences.sql", d.sequences(rows))
	put("policies.sql", content.DropPolicies+";\n")
	put("finish.sql", d.finish(rows))
	put("count.sql", d.count(rows))
	put("rows.txt", rowLines(rows))
	if err != nil {
		return err
	}
	return x.write("", dir+"sha256", x.sums[c.Component].String())
}

func readAll(ctx context.Context, files holdfast.Files, name string) (string, error) {
	in, err := files.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(in)
	return string(text), err
}

// fetch writes one file of the set.
func (x *exporter) fetch(ctx context.Context, name string) error {
	in, err := x.files.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	var owner holdfast.ComponentName
	if first, _, nested := strings.Cut(name, "/"); nested {
		if _, ok := x.set.Part(holdfast.ComponentName(first)); ok {
			owner = holdfast.ComponentName(first)
		}
	}
	return x.create(owner, name, cancelled{ctx, in})
}

func (x *exporter) write(owner holdfast.ComponentName, name, text string) error {
	return x.create(owner, name, strings.NewReader(text))
}

// The names that a set's files may have: nothing that a shell, or the list of
// files in segments.txt, could misread.
var safeName = regexp.MustCompile(`^[A-Za-z0-9._~%+=:@/-]+$`)

// create writes a file, and its sum for the component it belongs to, if any.
func (x *exporter) create(owner holdfast.ComponentName, name string, in io.Reader) (err error) {
	if !safeName.MatchString(name) || !filepath.IsLocal(name) || path.Clean(name) != name ||
		strings.HasPrefix(name, "-") {
		return &holdfast.Problem{
			Class: holdfast.Refused,
			What:  fmt.Sprintf("the manifest names a file %q, which cannot be exported safely", name),
			Do:    "Holdfast writes no such names: do not trust this set.",
		}
	}
	file := filepath.Join(x.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return cannotWrite(x.dir, err)
	}
	out, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return cannotWrite(x.dir, err)
	}
	defer func() {
		if closeErr := out.Close(); err == nil && closeErr != nil {
			err = cannotWrite(x.dir, closeErr)
		}
	}()
	sum := sha256.New()
	to := &disk{out: out}
	n, err := io.CopyBuffer(io.MultiWriter(to, sum), struct{ io.Reader }{in}, make([]byte, 256<<10))
	x.count++
	x.bytes += n
	switch {
	case to.err != nil:
		return cannotWrite(x.dir, to.err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := out.Sync(); err != nil {
		return cannotWrite(x.dir, err)
	}
	if owner != "" {
		if x.sums[owner] == nil {
			x.sums[owner] = &strings.Builder{}
		}
		fmt.Fprintf(x.sums[owner], "%s  %s\n", hex.EncodeToString(sum.Sum(nil)), name)
	}
	x.progress.Report(event.Bytes{Subject: "export " + string(x.set.ID), Done: x.bytes, Total: x.total})
	return nil
}

// disk remembers which error was the disk's.
type disk struct {
	out io.Writer
	err error
}

func (d *disk) Write(p []byte) (int, error) {
	n, err := d.out.Write(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

// publish gives the directory its name once its entries are on the disk.
func (x *exporter) publish(dir string) error {
	err := filepath.WalkDir(x.dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return durable.SyncDirectory(name)
	})
	if err != nil {
		return err
	}
	// An empty directory of that name gives way; one that was filled meanwhile
	// does not.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(x.dir, dir); err != nil {
		return err
	}
	return durable.SyncDirectory(filepath.Dir(dir))
}

// cancelled is a reader that ends with its context.
type cancelled struct {
	ctx context.Context //nolint:containedctx // it lives as long as one copy
	in  io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.in.Read(p)
}
