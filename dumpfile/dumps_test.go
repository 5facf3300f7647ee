package dumpfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/ulikunitz/xz"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/splicetest"
	"holdfast/pgdump"
)

// bed is one node that does nothing, and its databases as dumps of every form,
// each made once.
type bed struct {
	node  *splicetest.Node
	dir   string
	tools map[string]string // directories of pg_dump, by the major version
	mu    sync.Mutex
	made  map[string]string
}

var shared struct {
	once sync.Once
	bed  *bed
	err  error
}

func TestMain(m *testing.M) {
	if name := os.Getenv("HOLDFAST_TEST_READ"); name != "" { // another process of a test
		_, err := Reader{}.Read(context.Background(), name)
		fmt.Println(err)
		os.Exit(0)
	}
	code := m.Run()
	if shared.bed != nil {
		_ = shared.bed.node.Close()
		_ = os.RemoveAll(shared.bed.dir)
	}
	os.Exit(code)
}

func newBed(t testing.TB) *bed {
	t.Helper()
	shared.once.Do(func() {
		b := &bed{made: map[string]string{}, tools: map[string]string{}}
		if b.node, shared.err = splicetest.StartNode(context.Background(), splicetest.NodeOptions{}); shared.err != nil {
			return
		}
		shared.bed = b
		b.tools[b.node.Participant.Version.Major] = b.node.Participant.Version.Bin
		if dir := os.Getenv("HOLDFAST_TEST_PG_TOOLS"); dir != "" {
			b.tools["18"] = dir
		}
		b.dir, shared.err = os.MkdirTemp("", "dumpfile-")
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.bed
}

// dump makes a dump with the pg_dump of that version, once.
func (b *bed) dump(t testing.TB, major, dsn string, args ...string) string {
	t.Helper()
	bin, ok := b.tools[major]
	if !ok {
		t.Fatalf("there is no pg_dump %s: HOLDFAST_TEST_PG_TOOLS names newer ones", major)
	}
	program := "pg_dump"
	if len(args) > 0 && args[0] == "all" {
		program, args = "pg_dumpall", args[1:]
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key := program + major + dsn + strings.Join(args, " ")
	if b.made[key] == "" {
		name := filepath.Join(b.dir, fmt.Sprint(len(b.made)))
		run(t, filepath.Join(bin, program), append([]string{"-d", dsn, "-f", name}, args...)...)
		b.made[key] = name
	}
	return b.made[key]
}

func run(t testing.TB, program string, args ...string) {
	t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

func (b *bed) participant() string { return b.node.ParticipantDSN() }
func (b *bed) validator() string   { return b.node.ValidatorDSN() }

// facts are those of the live database.
func liveFacts(t testing.TB, dsn string, kind holdfast.Kind) holdfast.Facts {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	facts, err := canton.Read(t.Context(), conn, kind)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// liveRows are the numbers of rows of the live database's tables.
func liveRows(t testing.TB, dsn string) map[string]int64 {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT n.nspname || '.' || c.relname, c.relkind = 'p',
		(xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM ONLY %I.%I', n.nspname, c.relname), false, true, '')))[1]::text::bigint
		FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')`)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	var name string
	var parent bool
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&name, &parent, &n}, func() error { out[name] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func read(t testing.TB, name string) pgdump.File {
	t.Helper()
	d, err := Reader{}.Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readBytes(t testing.TB, data []byte) pgdump.File {
	t.Helper()
	d, err := Reader{Stdin: bytes.NewReader(data)}.Read(t.Context(), "-")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func content(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// compressions are those that Go can write; bzip2 is left to its program.
var compressions = map[string]func(io.Writer) (io.WriteCloser, error){
	"gzip": func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	"zstd": func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	"lz4":  func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
	"xz":   func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) },
}

func compressed(t testing.TB, how string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if how == "bzip2" {
		cmd := exec.Command("bzip2", "-c")
		cmd.Stdin, cmd.Stdout = bytes.NewReader(data), &out
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	w, err := compressions[how](&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
