package dumpfile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"holdfast/pgdump"
)

// seeds are small dumps of one database by pg_dump 15 and 18, in every form
// that is one file: two tables of Canton's, two of Splice's, and one more.
func seeds(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("testdata/seeds/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d seeds, %v", len(files), err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		if out[filepath.Base(f)], err = os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// Each of the seeds is a dump, and says the same.
func TestSeeds(t *testing.T) {
	for name, data := range seeds(t) {
		t.Run(name, func(t *testing.T) {
			d := readBytes(t, data)
			if d.State != pgdump.Complete || len(d.Faults) > 0 {
				t.Fatalf("%s: %v", d.State, d.Faults)
			}
			db := d.Databases[len(d.Databases)-1]
			// Both schemas in one database: a participant's comes first.
			p := db.Facts.Participant
			if p == nil || *p.LedgerEnd != 66 || p.ParticipantID != "somebody::1220aa" || db.Rows() != 5 || len(db.Tables) != 5 {
				t.Errorf("%+v", db)
			}
		})
	}
}

// Whatever a file holds, reading it ends, and what it says is in order.
func FuzzRead(f *testing.F) {
	for _, data := range seeds(f) {
		f.Add(data)
	}
	f.Add([]byte(begins + parameterDDL + "INSERT INTO participant.lapi_parameters VALUES (E'a\\'', 66, -1);\n" + ends))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Reader{Stdin: bytes.NewReader(data)}.Read(t.Context(), "-")
		if err != nil {
			t.Fatal(err)
		}
		if (d.State == pgdump.Complete) != (len(d.Faults) == 0) {
			t.Errorf("%s, with faults %v", d.State, d.Faults)
		}
		for _, db := range d.Databases {
			if db.Facts.Schema == "unknown" && db.Facts.Unknown == "" {
				t.Errorf("unknown without a reason: %+v", db)
			}
		}
	})
}

// The rows of a COPY are the same in whatever pieces they come.
func FuzzFields(f *testing.F) {
	f.Add([]byte("a\tb\\tc\t\\N"), 2)
	f.Add([]byte("\t\t\\\\"), 1)
	f.Fuzz(func(t *testing.T, line []byte, cut int) {
		if bytes.IndexByte(line, '\n') >= 0 || cut < 0 || cut > len(line) {
			return
		}
		read := func(pieces ...[]byte) (out []string) {
			tab := &table{want: []int{2, 0}, row: func(values []*string) {
				for _, v := range values {
					if v == nil {
						out = append(out, "null")
					} else {
						out = append(out, *v)
					}
				}
			}}
			fs := fields{table: tab, columns: 3}
			for i, p := range pieces {
				fs.feed(p, i == len(pieces)-1)
			}
			return out
		}
		whole, cutUp := read(line), read(line[:cut], line[cut:])
		if len(whole) != len(cutUp) || len(whole) > 0 && (whole[0] != cutUp[0] || whole[1] != cutUp[1]) {
			t.Errorf("%q whole, %q in pieces", whole, cutUp)
		}
	})
}
