package endtoend

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/backup"
	"holdfast/content"
	"holdfast/event"
	"holdfast/internal/splicetest"
	"holdfast/place"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/retention"
	"holdfast/verify"
)

var update = flag.Bool("update", false, "update docs/faults.md")

// fault is one animal of the zoo: what is planted, who has to find it, and what
// they have to say.
type fault struct {
	name    string
	planted string
	command string
	says    string
	found   func(t *testing.T) error // plants it, runs the command, and returns what that says
}

// Every fault that is planted is found by the command that has to find it, in
// the words that the page promises; and the page has exactly these faults.
func TestPlantedFaults(t *testing.T) {
	s := newStocked(t)
	zoo := s.zoo()
	var page bytes.Buffer
	_, _ = fmt.Fprint(&page, pageHead)
	for _, f := range zoo {
		_, _ = fmt.Fprintf(&page, "| %s | %s | `%s` | %s |\n", f.name, f.planted, f.command, f.says)
	}
	page.WriteString(silencePage())
	file := filepath.Join("..", "..", "docs", "faults.md")
	if *update {
		if err := os.WriteFile(file, page.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || !bytes.Equal(text, page.Bytes()) {
		t.Errorf("docs/faults.md is not what the test says (-update writes it): %v", err)
	}
	for _, f := range zoo {
		t.Run(f.name+", by "+f.command, func(t *testing.T) {
			err := f.found(t)
			if err == nil {
				t.Fatal("it was not found")
			}
			if !strings.Contains(err.Error(), f.says) {
				t.Errorf("it does not say %q: %v", f.says, err)
			}
		})
	}
}

const pageHead = `# Planted faults

What can go wrong with a backup without anybody noticing is planted by a test, one by one, and has to be found by the
command that stands here, in these words. The test writes this page, and fails when it differs.

| fault | planted | found by | which says |
|---|---|---|---|
`

// zoo lists the faults. They are planted in copies of one repository, and in
// the node's databases for as long as it takes.
func (b stocked) zoo() []fault {
	return []fault{
		{"reversed pair", "the validator app has ingested more than the participant has when its turn comes",
			"holdfast backup", "the set contradicts its own order, twice", b.plantReversed},
		{"reversed pair", "a set stored as misordered", "holdfast restore", "is misordered", b.restoreReversed},
		{"truncated stream", "a file of rows in a set ends early, and the storage does not know", "holdfast verify",
			"is not as it says", func(t *testing.T) error {
				return b.verifyForged(t, verify.Structure, cutRows)
			}},
		{"truncated stream", "the same", "holdfast drill", "rows were written, the manifest has", b.drillTruncated},
		{"forged rows", "a file of rows with the right length and one byte changed before it was stored",
			"holdfast verify --read-data", "digest", func(t *testing.T) error {
				return b.verifyForged(t, verify.Data, changeRows)
			}},
		{"wrong database", "the participant's database is configured as the validator app's", "holdfast backup",
			"configured as", b.wrongDatabase},
		{"wrong node's identities", "the validator app serves another node's dump", "holdfast backup",
			"the parts of the set do not belong to one node", b.wrongIdentities},
		{"yesterday's set", "the storage gives yesterday's rows for today's manifest", "holdfast drill",
			"failed: everything came back equal", b.yesterdaysRows},
		{"flipped bit", "in a blob with rows", "holdfast verify --read-data", "have changed",
			func(t *testing.T) error {
				return b.verifyDamaged(t, verify.Data, func(dir string) { flipBit(t, blobs(t, dir, "p")[0], 0.4) })
			}},
		{"missing blob", "a blob with rows is removed", "holdfast verify", "does not exist in the storage",
			func(t *testing.T) error {
				return b.verifyDamaged(t, verify.Structure, func(dir string) { remove(t, blobs(t, dir, "p")[0]) })
			}},
		{"missing blob", "the same", "holdfast drill", "failed: everything came back equal", b.drillMissing},
		{"wrong key", "another password", "holdfast list", "the password does not open it", b.wrongKey},
		{"lost key", "kopia.repository is removed, the small file with the key of everything", "holdfast list",
			"kopia.repository is missing", func(t *testing.T) error {
				return b.withoutKey(t, func(path string) { remove(t, path) })
			}},
		{"damaged key", "a bit of that file is flipped", "holdfast list", "kopia.repository is damaged",
			func(t *testing.T) error {
				return b.withoutKey(t, func(path string) { flipBit(t, path, 0.5) })
			}},
		{"lost copy of the key", "the copy of that file is removed", "holdfast verify",
			"the copy of kopia.repository is missing", func(t *testing.T) error {
				return b.verifyDamaged(t, verify.Structure, func(dir string) {
					for _, path := range blobs(t, dir, "holdfast-copy-") {
						remove(t, path)
					}
				})
			}},
		{"empty but valid database", "the participant's schema without a row", "holdfast backup",
			"it has no identity", b.emptyDatabase},
		{"clock jump", "a set taken while the clock was a year ahead", "holdfast retention", "a clock is wrong",
			b.clockJump},
		{"full disk", "the repository's disk is full", "holdfast backup", "the disk is full", b.fullDisk},
		{"lost connection", "the database's connections break in the middle of a dump", "holdfast backup",
			"capture validator", b.lostConnection},
		{"lost lock", "the session that locks the node ends in the middle of a dump", "holdfast backup",
			"the lock on the node was lost", b.lostLock},
		{"backup during a restore", "a restore of the node has begun", "holdfast backup",
			"is being restored already", b.duringARestore},
		{"half a swap", "one of two databases has its place and is not open yet", "holdfast backup",
			"is not currently accepting connections", b.halfASwap},
	}
}

// own gives a test the parts with a copy of the repository.
func (b stocked) own(t *testing.T) (*parts, string) {
	t.Helper()
	dir := b.copied(t)
	p := b.parts
	p.Repository = openAt(t, place.Directory(dir))
	return &p, dir
}

const ahead = "UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '00000000000fffffff' WHERE " +
	"store_id = 2"

// misorder takes a set while the validator app is ahead.
func (b stocked) misorder(t *testing.T, p *parts) (holdfast.Set, error) {
	t.Helper()
	was := query[string](t, b.ValidatorDSN(),
		"SELECT last_ingested_offset FROM validator.store_last_ingested_offsets WHERE store_id = 2")
	execute(t, b.ValidatorDSN(), ahead)
	defer execute(t, b.ValidatorDSN(),
		"UPDATE validator.store_last_ingested_offsets SET last_ingested_offset = '"+was+"' WHERE store_id = 2")
	return p.job().Run(t.Context())
}

func (b stocked) plantReversed(t *testing.T) error {
	p, _ := b.own(t)
	_, err := b.misorder(t, p)
	return err
}

func (b stocked) restoreReversed(t *testing.T) error {
	p, _ := b.own(t)
	set, _ := b.misorder(t, p)
	_, err := p.restore(t, set.ID, restore.Options{OnlyProve: true, Unproven: true})
	return err
}

// forged stores the newest set once more, with its largest file of rows
// changed.
func (b stocked) forged(t *testing.T, change func([]byte) []byte) (*parts, string, holdfast.SetID) {
	t.Helper()
	p, dir := b.own(t)
	set, files := p.find(t, b.sets[1].ID)
	set.ID = set.ID[:len(set.ID)-8] + "0badf00d"
	victim := ""
	for _, c := range set.Parts() {
		for _, table := range c.Content.(content.Rows).Tables {
			if table.Name == "extra" {
				victim = table.Segments[0].File
			}
		}
	}
	err := p.Repository.Write(t.Context(), "forge", func(ctx context.Context, w holdfast.SetWriter) error {
		for _, name := range set.FileNames() {
			content := readAll(t, files, name)
			if name == victim {
				content = change(content)
			}
			if _, err := w.Put(ctx, name, func(out io.Writer) error {
				_, err := out.Write(content)
				return err
			}); err != nil {
				return err
			}
		}
		return w.Seal(ctx, &set)
	})
	if err != nil {
		t.Fatal(err)
	}
	return p, dir, set.ID
}

func readAll(t *testing.T, files holdfast.Files, name string) []byte {
	t.Helper()
	in, err := files.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	content, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// cutRows ends a binary stream behind its first rows, as one that broke off and
// was given a trailer by hand.
func cutRows(b []byte) []byte {
	const header, tuple = 19, 2 + 4 + 4 + 4 + 640
	return append(bytes.Clone(b[:header+10*tuple]), 0xff, 0xff)
}

func changeRows(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}

func (b stocked) verifyForged(t *testing.T, level verify.Level, change func([]byte) []byte) error {
	_, dir, id := b.forged(t, change)
	report, err := verified(t, place.Directory(dir), verify.Request{Level: level})
	for _, s := range report.Sets {
		if (s.Verdict == holdfast.Violated) != (s.ID == id) {
			t.Errorf("set %s: %s", s.ID, s.Verdict)
		}
	}
	return err
}

func (b stocked) verifyDamaged(t *testing.T, level verify.Level, damage func(dir string)) error {
	dir := b.copied(t)
	damage(dir)
	_, err := verified(t, place.Directory(dir), verify.Request{Level: level})
	return err
}

func (b stocked) drillTruncated(t *testing.T) error {
	p, _, id := b.forged(t, cutRows)
	return drilled(t, p, id)
}

// drilled drills a set that has to be found not to restore.
func drilled(t *testing.T, p *parts, id holdfast.SetID) error {
	t.Helper()
	r, err := p.rehearse(t, id)
	says(t, err, holdfast.Violation)
	if r == nil || r.Remembered(nil).Verdict != holdfast.Violated {
		t.Errorf("what is remembered of the drill speaks for the set: %+v", r)
	}
	return err
}

func (b stocked) drillMissing(t *testing.T) error {
	p, dir := b.own(t)
	set, files := p.find(t, b.sets[1].ID)
	remove(t, filepath.Join(dir, b.late[0]))
	_, err := rehearse(t, set, files)
	says(t, err, holdfast.Violation)
	return err
}

// yesterday gives the files of an older set under the names of a newer one.
type yesterday struct{ today, before holdfast.Files }

func (y yesterday) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if in, err := y.before.Open(ctx, name); err == nil && strings.HasSuffix(name, ".copy") {
		return in, nil
	}
	return y.today.Open(ctx, name)
}

func (b stocked) yesterdaysRows(t *testing.T) error {
	p, _ := b.own(t)
	execute(t, b.ParticipantDSN(), "INSERT INTO extra SELECT i, 'later' FROM generate_series(1, 100) i")
	newest := p.backup(t)
	set, today := p.find(t, newest.ID)
	_, before := p.find(t, b.sets[1].ID)
	_, err := rehearse(t, set, yesterday{today, before})
	return err
}

func (b stocked) wrongDatabase(t *testing.T) error {
	p, _ := b.own(t)
	p.Node = nodeAt(t, b.ValidatorDSN(), b.ParticipantDSN())
	_, err := p.job().Run(t.Context())
	return err
}

func (b stocked) wrongIdentities(t *testing.T) error {
	p, _ := b.own(t)
	b.App.SetDump(splicetest.NewNode(t, splicetest.NodeOptions{Hint: "somebody-else-1"}).Identities.JSON)
	defer b.App.SetDump(b.Node.Identities.JSON)
	set, err := p.job().Run(t.Context())
	if set.State != holdfast.Mismatched {
		t.Errorf("the set is %s", set.State)
	}
	return err
}

func (b stocked) wrongKey(t *testing.T) error {
	_, err := repository.Open(t.Context(), b.At, holdfast.NewSecret("another password"))
	says(t, err, holdfast.WrongKey)
	return err
}

// withoutKey damages the file that a repository is opened with. Put back, it
// opens, and every set is whole.
func (b stocked) withoutKey(t *testing.T, damage func(path string)) error {
	dir := b.copied(t)
	damage(filepath.Join(dir, "kopia.repository.f"))
	at := place.Directory(dir)
	_, err := repository.Open(t.Context(), at, holdfast.NewSecret(password))
	says(t, err, holdfast.Violation)
	if put, err := repository.PutBack(t.Context(), at, holdfast.NewSecret(password)); err != nil || len(put) != 1 {
		t.Errorf("put back: %+v, %v", put, err)
	}
	if _, err := verified(t, at, verify.Request{Level: verify.Data}); err != nil {
		t.Errorf("put back, it is not whole: %v", err)
	}
	return err
}

// emptyDatabase makes a copy of the participant's database and takes all rows
// out of it: tables, indexes and history of the schema are as they should be.
func (b stocked) emptyDatabase(t *testing.T) error {
	p, _ := b.own(t)
	dsn := b.Participant.DSN("postgres")
	execute(t, dsn, `CREATE DATABASE hollow TEMPLATE "`+splicetest.ParticipantDatabase+`"`)
	t.Cleanup(func() { dropDatabase(t, dsn, "hollow") })
	execute(t, b.Participant.DSN("hollow"), `DO $$ DECLARE t regclass; BEGIN
		FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'participant'::regnamespace AND c.relname <> 'flyway_schema_history' LOOP
			EXECUTE 'TRUNCATE ' || t || ' CASCADE'; END LOOP; END $$`)
	p.Node = nodeAt(t, b.Participant.DSN("hollow"), b.ValidatorDSN())
	_, err := p.job().Run(t.Context())
	return err
}

func dropDatabase(t *testing.T, dsn, name string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
		t.Error(err)
	}
}

func (b stocked) clockJump(t *testing.T) error {
	p, _ := b.own(t)
	system := backup.SystemClock()
	p.Clock = func() holdfast.Moment {
		m := system()
		m.Wall = m.Wall.AddDate(1, 0, 0)
		return m
	}
	set := p.backup(t)
	plan := retention.Decide(retention.Policy{Last: 1},
		[]retention.Candidate{retention.Look(b.sets[0], holdfast.CannotTell),
			retention.Look(b.sets[1], holdfast.CannotTell), retention.Look(set, holdfast.CannotTell)}, nil,
		time.Now())
	if d, ok := plan.Of(b.sets[1].ID); !ok || !d.Keep {
		t.Errorf("the set from the future took the place of the newest one: %+v", plan)
	}
	d, ok := plan.Of(set.ID)
	if !ok || !d.Keep {
		return nil
	}
	return errors.New(d.Because())
}

func (b stocked) fullDisk(t *testing.T) error {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it mounts a file system")
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=400k,mode=0700"); err != nil {
		t.Skipf("needs root with the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	at := place.Directory(filepath.Join(dir, "r"))
	if err := repository.Create(t.Context(), at, holdfast.NewSecret(password)); err != nil {
		t.Fatal(err)
	}
	p := b.parts
	p.Repository = openAt(t, at)
	_, err := p.job().Run(t.Context())
	if list, failed := p.Repository.Sets(t.Context(), ""); failed != nil || len(list) > 0 {
		t.Errorf("listed are %v, %v", list, failed)
	}
	return err
}

func (b stocked) lostConnection(t *testing.T) error {
	p, _ := b.own(t)
	calls := 0
	to := p.Node.Addresses["validator"]
	to.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return breaking{conn, &calls}, nil
	}
	p.Node = nodeAt(t, b.ParticipantDSN(), b.ValidatorDSN())
	p.Node.Addresses["validator"] = to
	before := len(p.entries(t))
	_, err := p.job().Run(t.Context())
	if len(p.entries(t)) != before {
		t.Error("a set was stored")
	}
	return err
}

// unstored runs a backup that must not store a set.
func (b stocked) unstored(t *testing.T, p *parts, job backup.Job) error {
	t.Helper()
	before := len(p.entries(t))
	_, err := job.Run(t.Context())
	if len(p.entries(t)) != before {
		t.Error("a set was stored")
	}
	return err
}

func (b stocked) lostLock(t *testing.T) error {
	p, _ := b.own(t)
	job := p.job()
	job.Events = func(e event.Event) {
		if _, began := e.(backup.CaptureBegan); began {
			execute(t, b.Participant.DSN("postgres"), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name LIKE 'holdfast backup of %'`)
		}
	}
	return b.unstored(t, p, job)
}

func (b stocked) duringARestore(t *testing.T) error {
	p, _ := b.own(t)
	_, release, err := p.place().Lock(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	return b.unstored(t, p, p.job())
}

func (b stocked) halfASwap(t *testing.T) error {
	p, _ := b.own(t)
	execute(t, b.Participant.DSN("postgres"), `ALTER DATABASE validator ALLOW_CONNECTIONS false`)
	defer execute(t, b.Participant.DSN("postgres"), `ALTER DATABASE validator ALLOW_CONNECTIONS true`)
	return b.unstored(t, p, p.job())
}

// breaking is a connection that breaks once much was written to the server: in
// the middle of a dump.
type breaking struct {
	net.Conn
	calls *int
}

func (c breaking) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("COPY ")) {
		if *c.calls++; *c.calls > 5 {
			_ = c.Close()
			return 0, errFault
		}
	}
	return c.Conn.Write(p)
}
