package dumpfile

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"holdfast"
	"holdfast/pgdump"
)

// form is a way to dump.
type form struct {
	name  string
	major string
	args  []string
	want  pgdump.Form
}

func forms(b *bed) []form {
	var out []form
	for major := range b.tools {
		for name, args := range map[string][]string{
			"plain": nil, "plain with its database": {"-C", "--clean", "--if-exists"}, "inserts": {"--inserts"},
			"column inserts": {"--column-inserts", "--rows-per-insert=7", "--on-conflict-do-nothing"}, "verbose": {"-v"}, "data": {"--data-only"},
		} {
			out = append(out, form{name, major, args, pgdump.Plain})
		}
		out = append(out, form{"custom", major, []string{"-Fc"}, pgdump.Custom}, form{"custom, not compressed", major, []string{"-Fc", "-Z0"}, pgdump.Custom},
			form{"custom inserts", major, []string{"-Fc", "--inserts"}, pgdump.Custom},
			form{"tar", major, []string{"-Ft"}, pgdump.Tar}, form{"directory", major, []string{"-Fd"}, pgdump.Directory})
	}
	out = append(out, form{"custom, zstd", "18", []string{"-Fc", "--compress=zstd"}, pgdump.Custom}, form{"custom, lz4", "18", []string{"-Fc", "--compress=lz4"}, pgdump.Custom},
		form{"directory, zstd", "18", []string{"-Fd", "--compress=zstd"}, pgdump.Directory}, form{"directory, lz4", "18", []string{"-Fd", "--compress=lz4"}, pgdump.Directory})
	return out
}

// Every form of a dump says what the live database says, and has as many rows.
func TestADumpSaysWhatItsDatabaseSays(t *testing.T) {
	b := newBed(t)
	for _, database := range []struct {
		dsn  string
		kind holdfast.Kind
	}{{b.participant(), holdfast.Participant}, {b.validator(), holdfast.Validator}} {
		facts, rows := liveFacts(t, database.dsn, database.kind), liveRows(t, database.dsn)
		for _, f := range forms(b) {
			t.Run(string(database.kind)+"/"+f.major+"/"+f.name, func(t *testing.T) {
				d := read(t, b.dump(t, f.major, database.dsn, f.args...))
				checkDump(t, d, f.want)
				db := d.Databases[0]
				if db.Kind != database.kind || !reflect.DeepEqual(db.Facts, facts) {
					t.Errorf("kind %s, facts\n%+v\nwant\n%+v", db.Kind, db.Facts, facts)
				}
				checkRows(t, db, rows)
				if !strings.HasPrefix(db.PgDump, f.major+".") || !strings.HasPrefix(db.Postgres, b.node.Participant.Version.Major+".") {
					t.Errorf("versions %q of %q", db.PgDump, db.Postgres)
				}
				named := f.want != pgdump.Plain || slices.Contains(f.args, "-C")
				if (db.Name != "") != named {
					t.Errorf("name %q", db.Name)
				}
			})
		}
	}
}

func checkDump(t *testing.T, d pgdump.File, form pgdump.Form) {
	t.Helper()
	if d.State != pgdump.Complete || len(d.Faults) > 0 || d.Form != form || len(d.Databases) == 0 || d.Read == 0 {
		t.Fatalf("%s, %s, %v, %d databases, %d bytes", d.Form, d.State, d.Faults, len(d.Databases), d.Read)
	}
}

// checkRows compares with the live database. Partitioned tables have no rows
// of their own and no data in a dump.
func checkRows(t *testing.T, db pgdump.Database, rows map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	for _, x := range db.Tables {
		got[x.Schema+"."+x.Name] = x.Rows
	}
	for name, n := range rows {
		if got[name] != n {
			t.Errorf("%s has %d rows, want %d", name, got[name], n)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("tables that the database does not have: %v", slices.Sorted(maps.Keys(got)))
	}
}

// A dump of all databases has each of them by its name.
func TestDumpOfAllDatabases(t *testing.T) {
	b := newBed(t)
	d := read(t, b.dump(t, b.node.Participant.Version.Major, b.participant(), "all"))
	checkDump(t, d, pgdump.Cluster)
	kinds := map[string]holdfast.Kind{}
	for _, db := range d.Databases {
		kinds[db.Name] = db.Kind
	}
	if want := map[string]holdfast.Kind{"template1": "", "postgres": "", "participant-4": holdfast.Participant, "validator": holdfast.Validator}; !maps.Equal(kinds, want) {
		t.Errorf("%v", kinds)
	}
	for _, db := range d.Databases {
		if db.Kind != "" && !reflect.DeepEqual(db.Facts, liveFacts(t, b.node.Participant.DSN(db.Name), db.Kind)) {
			t.Errorf("%s: %+v", db.Name, db.Facts)
		}
	}
}

// Compression is recognised by content, and may be nested.
func TestCompressionsAroundADump(t *testing.T) {
	b := newBed(t)
	plain := content(t, b.dump(t, "18", b.validator()))
	custom := content(t, b.dump(t, "18", b.validator(), "-Fc"))
	facts := liveFacts(t, b.validator(), holdfast.Validator)
	for _, how := range []string{"gzip", "zstd", "lz4", "xz", "bzip2"} {
		for name, data := range map[string][]byte{
			"plain": compressed(t, how, plain), "custom": compressed(t, how, custom), "twice": compressed(t, "gzip", compressed(t, how, plain)),
			"in parts": slices.Concat(compressed(t, how, plain[:1000]), compressed(t, how, plain[1000:])),
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				d := readBytes(t, data)
				if d.State != pgdump.Complete || d.Wrapping[len(d.Wrapping)-1] != how || !d.Checksums || !reflect.DeepEqual(d.Databases[0].Facts, facts) {
					t.Errorf("%s %v %v %v %+v", d.State, d.Faults, d.Wrapping, d.Checksums, d.Databases)
				}
			})
		}
	}
	if d := readBytes(t, plain); d.Checksums {
		t.Error("SQL has checksums")
	}
}

// offsets are places in a file at which it is cut, or changed: spread over it
// and close to its end.
func offsets(from, to, n int) []int {
	var out []int
	for i := range n {
		out = append(out, from+(to-from)*i/n)
	}
	for i := 1; i <= 16 && to-i > from; i++ {
		out = append(out, to-i)
	}
	return out
}

// A dump that ends early is found out, wherever that is.
func TestTruncatedDumps(t *testing.T) {
	b := newBed(t)
	major := b.node.Participant.Version.Major
	plain := content(t, b.dump(t, "18", b.validator()))
	cases := map[string][]byte{
		"plain":    plain[:bytes.LastIndex(plain, []byte("database dump complete"))+len("database dump complete")],
		"inserts":  content(t, b.dump(t, major, b.validator(), "--inserts")),
		"custom":   content(t, b.dump(t, "18", b.validator(), "-Fc")),
		"custom 0": content(t, b.dump(t, major, b.validator(), "-Fc", "-Z0")),
		"lz4":      content(t, b.dump(t, "18", b.validator(), "-Fc", "--compress=lz4")),
		"zstd":     content(t, b.dump(t, "18", b.validator(), "-Fc", "--compress=zstd")),
	}
	inserts := cases["inserts"]
	cases["inserts"] = inserts[:bytes.LastIndex(inserts, []byte("database dump complete"))+len("database dump complete")]
	all := content(t, b.dump(t, major, b.participant(), "all"))
	cases["all"] = all[:bytes.LastIndex(all, []byte("dump complete"))+len("dump complete")]
	tar := content(t, b.dump(t, "18", b.validator(), "-Ft"))
	cases["tar"] = tar[:bytes.LastIndex(tar, []byte("database dump complete"))]
	for _, how := range []string{"gzip", "zstd", "lz4", "xz", "bzip2"} {
		cases["plain in "+how] = compressed(t, how, plain)
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := readBytes(t, data); d.State != pgdump.Complete && name != "tar" {
				t.Fatalf("whole, it is %s: %v", d.State, d.Faults)
			}
			for _, at := range offsets(0, len(data), 24) {
				d := readBytes(t, data[:at])
				if d.State == pgdump.Complete || d.State == pgdump.Unclear && at > 200 || len(d.Faults) == 0 {
					t.Errorf("cut at %d of %d: %s, %v", at, len(data), d.State, d.Faults)
				}
			}
		})
	}
}

// A byte that was changed is found out where there are checksums, unless it is
// one that means nothing: padding, or the size of a window.
func TestChangedBytes(t *testing.T) {
	b := newBed(t)
	plain := content(t, b.dump(t, "18", b.validator()))
	custom := content(t, b.dump(t, "18", b.validator(), "-Fc"))
	unpacked := func(program string, args ...string) func(*testing.T, []byte) string {
		return func(t *testing.T, data []byte) string {
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Stdin = bytes.NewReader(data)
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("%s finds a fault: %v", program, err)
			}
			return string(out)
		}
	}
	for name, c := range map[string]struct {
		data   []byte
		from   int
		unpack func(*testing.T, []byte) string // by the program that people use
	}{
		"gzip":   {compressed(t, "gzip", plain), 10, unpacked("gzip", "-dc")}, // behind a header with a time in it
		"zstd":   {compressed(t, "zstd", plain), 4, unpacked("zstd", "-dc")},
		"lz4":    {compressed(t, "lz4", plain), 4, unpacked("lz4", "-dc")},
		"xz":     {compressed(t, "xz", plain), 6, unpacked("xz", "-dc")},
		"bzip2":  {compressed(t, "bzip2", plain), 4, unpacked("bzip2", "-dc")},
		"custom": {custom, firstBlock(t, custom), unpacked(filepath.Join(b.tools["18"], "pg_restore"), "--data-only", "--restrict-key=x", "-f", "-")}, // the table of contents has no checksum
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if d := readBytes(t, c.data); d.State != pgdump.Complete || !d.Checksums {
				t.Fatalf("whole, it is %s: %v", d.State, d.Faults)
			}
			for i, at := range offsets(c.from, len(c.data), 36) {
				changed := slices.Clone(c.data)
				changed[at] ^= 1 << (i % 8)
				if d := readBytes(t, changed); d.State == pgdump.Complete && c.unpack(t, changed) != c.unpack(t, c.data) || d.State != pgdump.Complete && len(d.Faults) == 0 {
					t.Errorf("bit %d of byte %d changed of %d: %s", i%8, at, len(c.data), d.State)
				}
			}
		})
	}
}

// Damage by a terminal has a failure of its own, and nothing of a damaged
// archive is shown.
func TestDumpsThroughATerminal(t *testing.T) {
	b := newBed(t)
	returned := func(data []byte) []byte { return bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")) }
	archive := content(t, b.dump(t, "18", b.validator(), "-Fc"))
	for _, c := range []struct {
		name  string
		data  []byte
		state pgdump.State
		fault string
	}{
		{"an archive", returned(archive), pgdump.Damaged, "a terminal changed its line ends (docker exec -t"},
		{"a prompt before an archive", append([]byte("Password: \r\n"), archive...), pgdump.Damaged, `before the archive, and pg_restore does not find it: "Password:"`},
		{"SQL", returned(content(t, b.dump(t, "18", b.validator()))), pgdump.Unclear, "a terminal changed them (docker exec -t"},
		{"INSERTs", returned(content(t, b.dump(t, "18", b.validator(), "--inserts"))), pgdump.Unclear, "a terminal changed them (docker exec -t"},
	} {
		d := readBytes(t, c.data)
		if said := strings.Join(d.Faults, "; "); d.State != c.state || !strings.Contains(said, c.fault) {
			t.Errorf("%s is %s: %s", c.name, d.State, said)
		}
		for _, db := range d.Databases {
			if text := db.Name + db.Postgres + db.PgDump + db.Created; strings.ContainsFunc(text, unicode.IsControl) || len(text) > 200 {
				t.Errorf("%s shows what is in it: %.100q", c.name, text)
			}
		}
	}
}

// firstBlock is where an archive's blocks of data begin.
func firstBlock(t *testing.T, data []byte) int {
	t.Helper()
	r := newReading("")
	a, err := r.archive(newBytes(data), r.newDatabase())
	if err != nil {
		t.Fatal(err)
	}
	return int(a.in.at())
}

// Files of a directory dump that are missing, cut or changed are found out.
func TestBrokenDirectories(t *testing.T) {
	b := newBed(t)
	for _, how := range []string{"gzip", "zstd", "lz4", "none"} {
		whole := b.dump(t, "18", b.validator(), "-Fd", "--compress="+how)
		largest := largestFile(t, whole)
		for name, damage := range map[string]func(path string, data []byte) error{
			"missing": func(path string, _ []byte) error { return os.Remove(path) },
			"cut":     func(path string, data []byte) error { return os.WriteFile(path, data[:len(data)/2], 0o600) },
			"empty":   func(path string, _ []byte) error { return os.WriteFile(path, nil, 0o600) },
		} {
			t.Run(how+"/"+name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "copy")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				if err := damage(filepath.Join(dir, largest), content(t, filepath.Join(dir, largest))); err != nil {
					t.Fatal(err)
				}
				if d := read(t, dir); d.State != pgdump.Truncated && d.State != pgdump.Damaged || len(d.Faults) == 0 {
					t.Errorf("%s without %s: %s %v", whole, largest, d.State, d.Faults)
				}
			})
		}
	}
	if d := read(t, t.TempDir()); d.State != pgdump.Unclear {
		t.Errorf("an empty directory is %s", d.State)
	}
}

func largestFile(t *testing.T, dir string) (name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var most int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil && info.Size() > most && e.Name() != "toc.dat" {
			most, name = info.Size(), e.Name()
		}
	}
	return name
}
