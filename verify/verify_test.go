package verify_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/internal/eventtest"
	"holdfast/record"
	"holdfast/stored"
	"holdfast/verify"
)

type inherited = verify.Stock

// stock is a repository of one set with one file of two rows.
type stock struct {
	inherited
	holdings   []stored.Set
	damages    []stored.Damage
	content    string
	faults     []stored.Fault
	dropped    []holdfast.SetID
	disproofs  []record.Disproof
	unclear    error
	gone       error
	memory     record.Verification
	remembered *record.Verification
	remember   error
}

func (s *stock) Stock() stored.Stock {
	return stored.Stock{
		Blobs:  1,
		Bytes:  100,
		Pieces: 1,
	}
}
func (s *stock) Blobs() []stored.Blob                           { return []stored.Blob{{Name: "p1", Bytes: 100}} }
func (s *stock) Damages() []stored.Damage                       { return s.damages }
func (s *stock) CorrectsErrors() int                            { return 0 }
func (s *stock) ListDamaged() bool                              { return false }
func (s *stock) Holdings(context.Context) ([]stored.Set, error) { return s.holdings, nil }
func (s *stock) Open(context.Context, string) (io.ReadCloser, error) {
	if s.gone != nil {
		return nil, s.gone
	}
	return io.NopCloser(strings.NewReader(s.content)), nil
}
func (s *stock) Faults(context.Context) ([]stored.Fault, error)       { return s.faults, s.unclear }
func (s *stock) Disproofs(context.Context) ([]record.Disproof, error) { return s.disproofs, s.unclear }
func (s *stock) Dropped(context.Context) ([]holdfast.SetID, error)    { return s.dropped, s.unclear }
func (s *stock) MendFaults(_ context.Context, f []stored.Fault) ([]stored.Fault, error) {
	for i := range f {
		f[i].Mended = true
	}
	return f, nil
}
func (s *stock) Done(context.Context, string) error                                { return nil }
func (s *stock) ReadObject(context.Context, string) ([]stored.Damage, error)       { return nil, s.gone }
func (s *stock) ReadRest(context.Context, func(int64, *stored.Damage) error) error { return s.gone }
func (s *stock) Recall(context.Context) record.Verification                        { return s.memory }
func (s *stock) Remember(_ context.Context, v record.Verification) error {
	s.remembered = &v
	return s.remember
}

const text = "a\nb\n"

// whole is a stock in which nothing is wrong.
func whole() *stock {
	set := holdfast.Set{
		Schema: holdfast.ManifestSchema,
		ID:     "one",
		Node:   holdfast.Node{Name: "demo", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		Captures: []holdfast.Capture{{
			Method: holdfast.Dump,
			Ended:  holdfast.Moment{Since: 1},
			Components: []holdfast.Captured{{
				Component: "app",
				Kind:      holdfast.App,
				Facts:     holdfast.Facts{Schema: "app"},
			}},
			Content: content.Rows{
				Schema:  "s",
				Globals: "g",
				Tables: []content.Table{{Schema: "public", Name: "t", Format: content.TextFormat, Rows: 2,
					Segments: []content.Segment{{File: "f", Rows: 2, Bytes: 4, Digest: content.Digest{Lo: 2}}}}},
			},
		}},
	}
	set.Prove()
	s := &stock{content: text, holdings: []stored.Set{{ID: "one", Node: "demo", State: set.State, Manifest: &set}}}
	for name, bytes := range map[string]int64{
		"s":                   4,
		"g":                   4,
		"f":                   4,
		holdfast.ManifestName: 4,
		holdfast.ReadmeName:   4,
	} {
		s.holdings[0].Files = append(s.holdings[0].Files, stored.File{
			Name:   name,
			Object: "o" + name,
			Bytes:  bytes,
			Stored: bytes,
		})
	}
	return s
}

func run(t *testing.T, s *stock, r verify.Request) (verify.Report, error) {
	t.Helper()
	var heard eventtest.Record
	j := verify.Job{
		Stock:  s,
		Now:    time.Now,
		Events: heard.Hear,
		Digest: func(in io.Reader, _ string) (int64, string, error) {
			b, err := io.ReadAll(in)
			n := int64(strings.Count(string(b), "\n"))
			return n, content.Digest{Lo: uint64(n)}.String(), err
		},
	}
	p, err := j.Plan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	report, err := j.Run(t.Context(), p)
	reported(t, &heard, p, report)
	return report, err
}

// reported compares the events of a run with its report.
func reported(t *testing.T, heard *eventtest.Record, p verify.Plan, r verify.Report) {
	t.Helper()
	ended := verify.Ended{Level: r.Level, Set: r.Set, Verdict: r.Verdict, Bytes: r.Read, Took: r.Took}
	if all := heard.All(); r.Verdict != "" && all[len(all)-1] != ended {
		t.Errorf("reported %v, want at the end %v", all, ended)
	}
	reading := eventtest.Of[verify.ReadingBegan](heard)
	if p.Level == verify.Data && (len(reading) != 1 || reading[0].Bytes != p.Reads) {
		t.Errorf("reported %+v of a plan to read %d bytes", reading, p.Reads)
	}
}

// Every way in which a set can be something else than it is listed as.
func TestWhatIsWrongWithASet(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(s *stock, set *holdfast.Set)
		code   string
		class  holdfast.Class
	}{
		{"nothing", func(*stock, *holdfast.Set) {}, "", ""},
		{"another set's manifest", func(_ *stock, set *holdfast.Set) {
			set.ID = "two"
		}, "set_is_another", holdfast.Violation},
		{"another node's manifest", func(_ *stock, set *holdfast.Set) {
			set.Node.Name = "other"
		}, "set_is_another", holdfast.Violation},
		{"another state than listed", func(s *stock, _ *holdfast.Set) {
			s.holdings[0].State = holdfast.Misordered
		}, "set_is_another", holdfast.Violation},
		{"a manifest that claims more", func(s *stock, set *holdfast.Set) {
			set.Missing = []string{"identities"}
		}, "set_claims_more", holdfast.Violation},
		{"a file that is not there", func(s *stock, _ *holdfast.Set) {
			s.holdings[0].Files = s.holdings[0].Files[1:]
		}, "files_differ", holdfast.Violation},
		{"a file of another size", func(_ *stock, set *holdfast.Set) {
			set.Captures[0].Content.(content.Rows).Tables[0].Segments[0].Bytes = 5
		}, "files_differ", holdfast.Violation},
		{"other rows", func(_ *stock, set *holdfast.Set) {
			set.Captures[0].Content.(content.Rows).Tables[0].Segments[0].Digest.Lo = 7
		}, "rows_differ", holdfast.Violation},
		{"fewer rows", func(_ *stock, set *holdfast.Set) {
			set.Captures[0].Content.(content.Rows).Tables[0].Segments[0].Rows = 3
		}, "rows_differ", holdfast.Violation},
		{"a manifest that cannot be read", func(s *stock, _ *holdfast.Set) {
			s.holdings[0].Manifest, s.holdings[0].Trouble = nil, "its manifest is no JSON"
		}, "manifest_unreadable", holdfast.Violation},
		{"a later manifest", func(s *stock, _ *holdfast.Set) {
			s.holdings[0].Manifest, s.holdings[0].Later = nil, true
			s.holdings[0].Trouble = "the manifest is of version 9; this Holdfast reads up to 2"
		}, "manifest_of_later_version", holdfast.Undetermined},
		{"a set that vanished", func(s *stock, _ *holdfast.Set) {
			s.memory.Sets = []holdfast.SetID{"zero", "one"}
		}, "sets_vanished", holdfast.Undetermined},
		{"no set where there is data", func(s *stock, _ *holdfast.Set) { s.holdings = nil }, "", ""},
		{"a storage that goes away", func(s *stock, _ *holdfast.Set) {
			s.gone = errors.New("no route to host")
		}, "storage_gone", holdfast.Undetermined},
		{"a lost piece", func(s *stock, _ *holdfast.Set) {
			s.damages = []stored.Damage{{Piece: "k", Blob: "p1", Kind: stored.Missing}}
			s.holdings[0].Files[0].Damages = s.damages
		}, "blob_missing", holdfast.Violation},
		{"a piece that was corrected", func(s *stock, _ *holdfast.Set) {
			s.damages = []stored.Damage{{Piece: "k", Blob: "p1", Kind: stored.Corrected}}
			s.holdings[0].Files[0].Damages = s.damages
		}, "blob_corrected", ""},
		{"a set that was dropped on purpose", func(s *stock, _ *holdfast.Set) {
			s.memory.Sets, s.dropped = []holdfast.SetID{"zero", "one"}, []holdfast.SetID{"zero"}
		}, "", ""},
		{"nobody knows what was dropped", func(s *stock, _ *holdfast.Set) {
			s.memory.Sets, s.unclear = []holdfast.SetID{"zero", "one"}, errors.New("the storage does not say")
		}, "not_looked_at", holdfast.Undetermined},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := whole()
			c.change(s, s.holdings[0].Manifest)
			report, err := run(t, s, verify.Request{Level: verify.Data})
			if holdfast.ClassOf(err) != c.class {
				t.Errorf("class %q, want %q: %v", holdfast.ClassOf(err), c.class, err)
			}
			if c.code == "" && len(report.Findings) > 0 ||
				c.code != "" && (len(report.Findings) != 1 || report.Findings[0].Code != c.code) {
				t.Fatalf("findings %+v, want %s", report.Findings, c.code)
			}
			want := map[holdfast.Class]holdfast.Verdict{
				"":                    holdfast.Holds,
				holdfast.Violation:    holdfast.Violated,
				holdfast.Undetermined: holdfast.CannotTell,
			}[c.class]
			if report.Verdict != want {
				t.Errorf("verdict %s, want %s", report.Verdict, want)
			}
			for _, f := range report.Findings {
				if f.Evidence == "" || f.Consequence == "" || f.Next == "" || strings.Contains(f.Evidence, "%!") {
					t.Errorf("%+v", f)
				}
			}
			if c.class == holdfast.Violation && report.Sets[0].Verdict != holdfast.Violated {
				t.Errorf("the set %s", report.Sets[0].Verdict)
			}
			if set := report.Sets; c.code == "manifest_of_later_version" &&
				(set[0].Verdict != holdfast.CannotTell || !strings.Contains(set[0].Why, "version 9")) {
				t.Errorf("the set %s: %s", set[0].Verdict, set[0].Why)
			}
		})
	}
}

// What no set consists of, and everything depends on.
func TestFaults(t *testing.T) {
	key := stored.Fault{
		Part:   stored.KeyBlob,
		Name:   "kopia.repository",
		Kind:   stored.Missing,
		Remedy: "holdfast-copy-1",
	}
	lost := key
	lost.Remedy = ""
	for _, c := range []struct {
		name   string
		fault  stored.Fault
		repair bool
		code   string
		class  holdfast.Class
		says   string
	}{
		{"the key", key, false, "key_missing", holdfast.Violation, "restores it from its copy"},
		{"the key, without a copy", lost, false, "key_missing", holdfast.Violation,
			"No copy opens it."},
		{"the key, mended", key, true, "key_missing", "", "It was restored from holdfast-copy-1."},
		{"the settings", stored.Fault{
			Part: stored.SettingsBlob,
			Name: "kopia.blobcfg",
			Kind: stored.Altered,
		}, false, "settings_altered", holdfast.Violation, "kopia.blobcfg is damaged"},
		{"the settings, without a copy, mended", stored.Fault{
			Part: stored.SettingsBlob,
			Name: "kopia.blobcfg",
			Kind: stored.Altered,
		}, true, "settings_altered", "", "The repository opens without it"},
		{"a copy", stored.Fault{
			Part: stored.CopyBlob,
			Name: "holdfast-copy-1",
			Kind: stored.Altered,
		}, false, "copy_altered", holdfast.Violation, "makes it again"},
		{"a copy, mended", stored.Fault{
			Part: stored.CopyBlob,
			Name: "holdfast-copy-1",
			Kind: stored.Altered,
		}, true, "copy_altered", "", "It was made again."},
		{"a copy of a former password", stored.Fault{
			Part: stored.CopyBlob,
			Name: "holdfast-copy-1",
			Kind: stored.Outdated,
		}, false, "copy_outdated", holdfast.Undetermined, "The password was changed"},
		{"the schedule of maintenance", stored.Fault{
			Part: stored.MaintenanceBlob,
			Name: "kopia.maintenance",
			Kind: stored.Altered,
		}, false, "upkeep_altered", holdfast.Violation, "No maintenance runs"},
		{"a session", stored.Fault{
			Part:   stored.SessionBlob,
			Name:   "s1",
			Kind:   stored.Altered,
			Remedy: "holdfast-damaged-s1",
		}, true, "session_altered", "", "renamed to holdfast-damaged-s1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := whole()
			s.faults = []stored.Fault{c.fault}
			report, err := run(t, s, verify.Request{Repair: c.repair})
			if holdfast.ClassOf(err) != c.class || len(report.Findings) != 1 || report.Findings[0].Code != c.code {
				t.Fatalf("%v, %+v", err, report.Findings)
			}
			f := report.Findings[0]
			if !strings.Contains(f.Evidence+" "+f.Consequence+" "+f.Next, c.says) || f.Consequence == "" ||
				f.Next == "" || strings.Contains(f.Evidence, "%!") {
				t.Errorf("%+v", f)
			}
			if report.Sets[0].Verdict != holdfast.Holds {
				t.Errorf("the set %s", report.Sets[0].Verdict)
			}
		})
	}
}

// A run that cannot be remembered says so and is no failure.
func TestARunThatCannotBeRemembered(t *testing.T) {
	s := whole()
	s.remember = &holdfast.Problem{Class: holdfast.ReadOnly, What: "it is not writable"}
	report, err := run(t, s, verify.Request{})
	if err != nil || report.NotRecorded != "it is not writable" {
		t.Errorf("%q, %v", report.NotRecorded, err)
	}
	s.remember = nil
	if report, err = run(t, s, verify.Request{Level: verify.Data}); err != nil || report.Since.IsZero() ||
		s.remembered.Level != "data" || len(s.remembered.Sets) != 1 {
		t.Errorf("%v, %+v", err, s.remembered)
	}
}
