package holdfast_test

import (
	"bytes"
	"flag"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
	"holdfast/manifest"
)

var update = flag.Bool("update", false, "update the golden files")

const (
	participantID = "demo-validator-1::1220aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	stranger      = "somebody-else-1::1220bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

var began = time.Date(2026, 11, 22, 15, 45, 0, 0, time.UTC)

func at(seconds int) holdfast.Moment {
	since := time.Duration(seconds) * time.Second
	return holdfast.Moment{Wall: began.Add(since), Since: since}
}

func ptr[T any](v T) *T { return &v }

// goodSet is a set of a validator node with nothing wrong in it: the validator
// app has ingested up to 98, the participant's ledger ends at 100 and is pruned
// up to 40.
func goodSet() holdfast.Set {
	s := holdfast.Set{
		Schema:   holdfast.ManifestSchema,
		ID:       holdfast.NewSetID(began, [4]byte{0x1f, 0x0c, 0x9a, 0x3e}),
		Holdfast: "0.1.0",
		Host:     "validator-host",
		Node: holdfast.Node{Name: "demo", Components: []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant},
			{Name: "validator", Kind: holdfast.Validator},
		}},
		Began:   at(0),
		Ended:   at(30),
		Attempt: 1,
		Captures: []holdfast.Capture{
			{
				Method:     holdfast.Dump,
				Began:      at(1),
				Consistent: at(2),
				Ended:      at(9),
				Components: []holdfast.Captured{{
					Component: "validator",
					Kind:      holdfast.Validator,
					Database: holdfast.Database{
						Name:     "validator",
						Owner:    "cnadmin",
						Encoding: "UTF8",
						Collate:  "C",
						CType:    "C",
						Provider: "libc",
						Bytes:    9 << 20,
						Roles:    []string{"cnadmin"},
					},
					Facts: holdfast.Facts{Schema: "validator", Migrations: "63", Validator: &holdfast.SpliceFacts{
						Stores: []holdfast.Store{store("DbValidatorStore", 98), store("DbUserWalletStore", 97)},
						Users:  []string{"administrator", "alice"},
					}},
				}},
				Server: holdfast.Server{
					Version:  "15.18",
					Number:   150018,
					SystemID: "7311111111111111111",
					Timeline: 1,
				},
				WAL: holdfast.WAL{Before: "0/1A2B3C4", Settled: true},
				Content: content.Rows{
					Schema:  "validator/schema.dump",
					Globals: "validator/globals.sql",
					Tables: []content.Table{{
						Schema:  "validator",
						Name:    "store_last_ingested_offsets",
						Format:  content.BinaryFormat,
						Columns: []string{"store_id", "migration_id", "last_ingested_offset"},
						Types:   []string{"integer", "bigint", "text"},
						Rows:    2,
						Bytes:   61,
						Digest:  content.Digest{Hi: 3, Lo: 4},
						Segments: []content.Segment{{
							File:   "validator/data/validator.store_last_ingested_offsets/0000000000.copy",
							Rows:   2,
							Bytes:  61,
							Digest: content.Digest{Hi: 3, Lo: 4},
						}},
					}},
					Sequences: []content.Sequence{{
						Schema: "validator",
						Name:   "store_descriptors_id_seq",
						Last:   5,
						Called: true,
					}},
				},
				Bytes: 61,
			},
			{
				Method:     holdfast.Dump,
				Began:      at(10),
				Consistent: at(11),
				Ended:      at(29),
				Components: []holdfast.Captured{{
					Component: "participant",
					Kind:      holdfast.Participant,
					Database: holdfast.Database{
						Name:     "participant-4",
						Owner:    "cnadmin",
						Encoding: "UTF8",
						Collate:  "C",
						CType:    "C",
						Provider: "libc",
						Bytes:    80 << 20,
					},
					Facts: holdfast.Facts{
						Schema:     "participant",
						Migrations: "22.1",
						Participant: &holdfast.ParticipantFacts{
							ParticipantID: participantID,
							LedgerEnd:     ptr[int64](100),
							PrunedUpTo:    ptr[int64](40),
							Published:     ptr(began),
							RecordTimes:   []holdfast.RecordTime{{Synchronizer: "global-domain::1220cc", At: began}},
							Synchronizers: []holdfast.Synchronizer{{
								Alias:      "global",
								PhysicalID: "global-domain::1220" + strings.Repeat("c", 64) + "::35-5",
								Active:     true,
							}},
							Pruning: &holdfast.Pruning{
								Cron:        "0 /10 * * * ?",
								MaxDuration: 30 * time.Minute,
								Retention:   48 * time.Hour,
							},
							Users: []holdfast.User{{
								ID:           "ledger-api-user",
								PrimaryParty: "demo",
								Rights:       []int{1, 2},
							}},
							Keys: []holdfast.Key{{Fingerprint: "1220dd", Name: "demo-namespace"}},
						},
					},
				}},
				Server: holdfast.Server{
					Version:  "15.18",
					Number:   150018,
					SystemID: "7311111111111111111",
					Timeline: 1,
				},
				WAL: holdfast.WAL{Before: "0/2A2B3C4"},
				Content: content.Rows{
					Schema: "participant/schema.dump", Globals: "participant/globals.sql",
					Tables: []content.Table{{
						Schema:  "participant",
						Name:    "lapi_parameters",
						Format:  content.TextFormat,
						Columns: []string{"participant_id"},
						Types:   []string{"character varying"},
						Rows:    1,
						Bytes:   70,
						Digest:  content.Digest{Hi: 1, Lo: 2},
						Segments: []content.Segment{
							{
								File:   "participant/data/participant.lapi_parameters/0000000000.copy",
								To:     2048,
								Rows:   1,
								Bytes:  70,
								Digest: content.Digest{Hi: 1, Lo: 2},
							},
							{File: "participant/data/participant.lapi_parameters/0000002048.copy", From: 2048},
						},
					}},
					Views: []content.View{{Schema: "debug", Name: "contracts"}},
				},
				LeftOut: []holdfast.LeftOut{{Name: "participant.scratch", Reason: "unlogged"}},
				Bytes:   70,
				Waits: []holdfast.Wait{{
					PID:      77,
					Relation: "participant.par_contracts",
					Mode:     "AccessExclusiveLock",
					Waited:   40 * time.Millisecond,
				}},
			},
		},
		Identities: &holdfast.IdentityFacts{
			ID:         "PAR::" + participantID,
			Version:    "0.6.11",
			Content:    "ab12",
			SealedFile: "identities/participant.json.age",
			Keys:       []holdfast.IdentityKey{{Name: "demo-namespace", Purpose: "signing", Fingerprint: "1220dd"}},
			Recipients: []string{"age1example"},
			Kept:       []string{"/mnt/keys/identities-demo.json.age"},
			Checks: []holdfast.IdentityCheck{{
				Code:     "dump_whole",
				Title:    "the dump is whole",
				Verdict:  holdfast.Holds,
				Evidence: "an id, 3 keys and a topology snapshot",
			}},
		},
	}
	s.Prove()
	return s
}

func store(name string, offset int64) holdfast.Store {
	raw := "00" + strings.Repeat("0",
		14) + string("0123456789abcdef"[offset>>4&15]) + string("0123456789abcdef"[offset&15])
	return holdfast.Store{
		Name:        name,
		Version:     2,
		Participant: "PAR::" + participantID,
		Raw:         raw,
		Offset:      &offset,
		Current:     true,
	}
}

// read reads a manifest of testdata.
func read(t *testing.T, name string) holdfast.Set {
	t.Helper()
	in, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	set, err := manifest.Read(in)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return set
}

// Every manifest ever written has to be readable for ever. The files are what
// each version looks like; that of a version is never updated once it is
// released.
func TestManifestsOfEveryVersionKeepDecoding(t *testing.T) {
	const current = "testdata/set-v2.json"
	want := goodSet()
	if *update {
		var text bytes.Buffer
		if err := manifest.Write(&text, want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(current, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"testdata/set-v1.json", current} {
		got := read(t, name)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s decodes to %+v,\nwant %+v", name, got, want)
		}
		if problems := got.Problems(); len(problems) > 0 {
			t.Errorf("a proven set, %s, is no longer proven: %v", name, problems[0].What)
		}
	}
}

// What a rehearsal found is in the manifest, and costs the proof on every
// reading.
func TestTheRehearsalIsInTheManifest(t *testing.T) {
	const name = "testdata/set-v2-rehearsed.json"
	want := goodSet()
	part := &want.Captures[0].Components[0]
	part.Schema, part.Rehearsal = strings.Repeat("0f", 32), refused()
	want.Prove()
	if *update {
		var text bytes.Buffer
		if err := manifest.Write(&text, want); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, name)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s decodes to %+v,\nwant %+v", name, got, want)
	}
	if problems := got.Problems(); got.State != holdfast.Unproven || len(problems) != 1 ||
		!strings.Contains(problems[0].Why, "ADD CONSTRAINT kind_is_known") || problems[0].Do == "" {
		t.Errorf("the set is %s: %+v", got.State, problems)
	}
	got.State = holdfast.Proven
	if problems := got.Problems(); len(problems) != 2 {
		t.Errorf("a manifest that claims more than its evidence says has %+v", problems)
	}
}

// refused is a rehearsal that stopped.
func refused() *holdfast.Rehearsal {
	return &holdfast.Rehearsal{
		Set: "20261122T154500Z-1f0c9a3e", At: began, Took: time.Second, Place: "next to database validator",
		Server: holdfast.Server{Version: "15.18", Number: 150018},
		Obstacles: []holdfast.Obstacle{{
			Object:     "check kind_is_known of table public.goods",
			Definition: "ALTER TABLE public.goods ADD CONSTRAINT kind_is_known CHECK (public.known_kind(k));",
			Refusal:    "it reads table public.kinds",
			Do:         "Make it a trigger.",
		}},
	}
}

// The evidence stands for another capture while nothing that it rests on has
// changed, and only where it speaks for the schema.
func TestWhatARehearsalStandsFor(t *testing.T) {
	part := func(schema string, version int) holdfast.Part {
		return holdfast.Part{
			Captured: holdfast.Captured{Schema: schema},
			Capture:  holdfast.Capture{Server: holdfast.Server{Number: version}},
		}
	}
	was := part("0f", 150018)
	for _, c := range []struct {
		name string
		now  holdfast.Part
		of   holdfast.Rehearsal
		want bool
	}{
		{"the same schema", part("0f", 150018), holdfast.Rehearsal{}, true},
		{"a newer minor version", part("0f", 150019), holdfast.Rehearsal{}, true},
		{"another major version", part("0f", 160004), holdfast.Rehearsal{}, false},
		{"another schema", part("1e", 150018), holdfast.Rehearsal{}, false},
		{"an obstacle, which may be gone", part("0f", 150018), *refused(), false},
		{"nothing was found out", part("0f", 150018), holdfast.Rehearsal{Unknown: "no sandbox"}, false},
	} {
		if got := c.of.StandsFor(was, c.now); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if (holdfast.Rehearsal{}).StandsFor(part("", 150018), part("", 150018)) {
		t.Error("no digest is taken for the same digest")
	}
}

// A set of a compose node of version 1 keeps what its restore needs: what is
// the kind's own is handed on as it was written.
func TestTheDeploymentOfVersion1IsConverted(t *testing.T) {
	set := read(t, "testdata/set-v1-compose.json")
	d := set.Deployment
	if d == nil || d.Kind != "compose" || d.Machine != "validator-7 /var/lib/docker" || d.Splice != "0.6.11" ||
		len(d.NotKept) != 1 {
		t.Fatalf("the deployment is %+v", d)
	}
	want := holdfast.Program{
		Role:   "postgres",
		Name:   "splice-validator-postgres-splice-1",
		Image:  "postgres:14",
		Digest: "postgres@sha256:1b1b",
	}
	if len(d.Programs) != 3 || d.Programs[0] != want {
		t.Errorf("the programs are %+v", d.Programs)
	}
	for _, file := range []string{"node/specs.json", "node/files/0", "node/files/1"} {
		if !slices.Contains(set.FileNames(), file) {
			t.Errorf("file %s was lost; there are %v", file, set.FileNames())
		}
	}
	if d.OwnFile != "node/specs.json" || !strings.Contains(string(d.Own), `"party_hint": "demo-validator-1"`) {
		t.Errorf("the kind's own is %s in file %s", d.Own, d.OwnFile)
	}
}

func TestSetIDsSortByTime(t *testing.T) {
	earlier := holdfast.NewSetID(began, [4]byte{0xff, 0xff, 0xff, 0xff})
	later := holdfast.NewSetID(began.Add(time.Second), [4]byte{})
	if earlier >= later {
		t.Errorf("%s does not sort before %s", earlier, later)
	}
	elsewhere := holdfast.NewSetID(began.In(time.FixedZone("", -7*3600)), [4]byte{0x1f, 0x0c, 0x9a, 0x3e})
	if elsewhere != "20261122T154500Z-1f0c9a3e" {
		t.Errorf("the ID depends on the time zone: %s", elsewhere)
	}
}

func TestFileNamesAreWhatTheManifestNames(t *testing.T) {
	got := goodSet().FileNames()
	slices.Sort(got)
	want := []string{
		"README.md", "identities/participant.json.age",
		"participant/data/participant.lapi_parameters/0000000000.copy",
		"participant/data/participant.lapi_parameters/0000002048.copy",
		"participant/globals.sql", "participant/schema.dump",
		"validator/data/validator.store_last_ingested_offsets/0000000000.copy", "validator/globals.sql",
		"validator/schema.dump",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestTheFormOfASetID(t *testing.T) {
	if id := holdfast.NewSetID(time.Now(), [4]byte{1, 2, 0xff}); !id.Valid() {
		t.Errorf("%s", id)
	}
	for _, id := range []holdfast.SetID{
		"", "latest", "../../etc/cron.d/x", "20261122T154500Z-1f0c9a3", "20261122T154500Z-1f0c9a3ef", "20261122T154500Z-1F0C9A3E",
		"20261322T154500Z-1f0c9a3e", "20261122T154500Z-1f0c9a3e/..", "20261122T154500Z-1f0c9a3e\n", "20261122T154500-1f0c9a3e",
	} {
		if id.Valid() {
			t.Errorf("%q is taken", id)
		}
	}
}
