package holdfast_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
)

var update = flag.Bool("update", false, "write the golden files anew")

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
		Schema: holdfast.ManifestSchema, ID: holdfast.NewSetID(began, [4]byte{0x1f, 0x0c, 0x9a, 0x3e}), Holdfast: "0.1.0", Host: "validator-host",
		Node: holdfast.Node{Name: "demo", Components: []holdfast.Component{
			{Name: "participant", Kind: holdfast.Participant},
			{Name: "validator", Kind: holdfast.Validator},
		}},
		Began: at(0), Ended: at(30), Attempt: 1,
		Captures: []holdfast.Capture{
			{
				Component: "validator", Kind: holdfast.Validator, Method: "dump", Began: at(1), Consistent: at(2), Ended: at(9),
				Server: holdfast.Server{Version: "15.18", Number: 150018, SystemID: "7311111111111111111", Timeline: 1},
				Database: holdfast.Database{Name: "validator", Owner: "cnadmin", Encoding: "UTF8", Collate: "C", CType: "C", Provider: "libc",
					Bytes: 9 << 20, Roles: []string{"cnadmin"}},
				WAL: holdfast.WAL{Before: "0/1A2B3C4", Settled: true}, Schema: "validator/schema.dump", Globals: "validator/globals.sql",
				Tables: []holdfast.Table{{
					Schema: "validator", Name: "store_last_ingested_offsets", Format: holdfast.BinaryFormat,
					Columns: []string{"store_id", "migration_id", "last_ingested_offset"}, Types: []string{"integer", "bigint", "text"},
					Rows: 2, Bytes: 61, Digest: holdfast.Digest{Hi: 3, Lo: 4},
					Segments: []holdfast.Segment{{File: "validator/data/validator.store_last_ingested_offsets/0000000000.copy", Rows: 2, Bytes: 61, Digest: holdfast.Digest{Hi: 3, Lo: 4}}},
				}},
				Sequences: []holdfast.Sequence{{Schema: "validator", Name: "store_descriptors_id_seq", Last: 5, Called: true}},
				Bytes:     61,
				Facts: holdfast.Facts{Schema: "validator", Migrations: "63", Validator: &holdfast.ValidatorFacts{
					Stores: []holdfast.Store{store("DbValidatorStore", 98), store("DbUserWalletStore", 97)}, Users: []string{"administrator", "alice"},
				}},
			},
			{
				Component: "participant", Kind: holdfast.Participant, Method: "dump", Began: at(10), Consistent: at(11), Ended: at(29),
				Server:   holdfast.Server{Version: "15.18", Number: 150018, SystemID: "7311111111111111111", Timeline: 1},
				Database: holdfast.Database{Name: "participant-4", Owner: "cnadmin", Encoding: "UTF8", Collate: "C", CType: "C", Provider: "libc", Bytes: 80 << 20},
				WAL:      holdfast.WAL{Before: "0/2A2B3C4"}, Schema: "participant/schema.dump", Globals: "participant/globals.sql",
				Tables: []holdfast.Table{{
					Schema: "participant", Name: "lapi_parameters", Format: holdfast.TextFormat, Columns: []string{"participant_id"}, Types: []string{"character varying"},
					Rows: 1, Bytes: 70, Digest: holdfast.Digest{Hi: 1, Lo: 2},
					Segments: []holdfast.Segment{
						{File: "participant/data/participant.lapi_parameters/0000000000.copy", To: 2048, Rows: 1, Bytes: 70, Digest: holdfast.Digest{Hi: 1, Lo: 2}},
						{File: "participant/data/participant.lapi_parameters/0000002048.copy", From: 2048},
					},
				}},
				Views:   []holdfast.View{{Schema: "debug", Name: "contracts"}},
				LeftOut: []holdfast.LeftOut{{Name: "participant.scratch", Reason: "unlogged"}},
				Bytes:   70,
				Waits:   []holdfast.Wait{{PID: 77, Relation: "participant.par_contracts", Mode: "AccessExclusiveLock", Waited: 40 * time.Millisecond}},
				Facts: holdfast.Facts{Schema: "participant", Migrations: "22.1", Participant: &holdfast.ParticipantFacts{
					ParticipantID: participantID, LedgerEnd: ptr[int64](100), PrunedUpTo: ptr[int64](40), Published: ptr(began),
					RecordTimes:   []holdfast.RecordTime{{Synchronizer: "global-domain::1220cc", At: began}},
					Synchronizers: []holdfast.Synchronizer{{Alias: "global", PhysicalID: "global-domain::1220" + strings.Repeat("c", 64) + "::35-5", Active: true}},
					Pruning:       &holdfast.Pruning{Cron: "0 /10 * * * ?", MaxDuration: 30 * time.Minute, Retention: 48 * time.Hour},
					Users:         []holdfast.User{{ID: "ledger-api-user", PrimaryParty: "demo", Rights: []int{1, 2}}},
					Keys:          []holdfast.Key{{Fingerprint: "1220dd", Name: "demo-namespace"}},
				}},
			},
		},
		Identities: &holdfast.IdentityFacts{
			ID: "PAR::" + participantID, Version: "0.6.11", Content: "ab12", SealedFile: "identities/participant.json.age",
			Keys:       []holdfast.IdentityKey{{Name: "demo-namespace", Purpose: "signing", Fingerprint: "1220dd"}},
			Recipients: []string{"age1example"}, Kept: []string{"/mnt/keys/identities-demo.json.age"},
			Checks: []holdfast.IdentityCheck{{Code: "dump_whole", Title: "the dump is whole", Verdict: holdfast.Holds, Evidence: "an id, 3 keys and a topology snapshot"}},
		},
	}
	s.Prove()
	return s
}

func store(name string, offset int64) holdfast.Store {
	raw := "00" + strings.Repeat("0", 14) + string("0123456789abcdef"[offset>>4&15]) + string("0123456789abcdef"[offset&15])
	return holdfast.Store{Name: name, Version: 2, Participant: "PAR::" + participantID, Raw: raw, Offset: &offset, Current: true}
}

// The first manifest ever written has to be readable for ever. The file is
// what version 1 looks like; it is never written anew once released.
func TestManifestOfVersion1KeepsDecoding(t *testing.T) {
	const golden = "testdata/set-v1.json"
	want := goodSet()
	if *update {
		text, err := json.MarshalIndent(want, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, append(text, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	var got holdfast.Set
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields() // a field that was renamed would be lost silently
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the manifest decodes to %+v,\nwant %+v", got, want)
	}
	if problems := got.Problems(); len(problems) > 0 {
		t.Errorf("a proven set of version 1 is no longer proven: %v", problems[0].What)
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
		"participant/data/participant.lapi_parameters/0000000000.copy", "participant/data/participant.lapi_parameters/0000002048.copy",
		"participant/globals.sql", "participant/schema.dump",
		"validator/data/validator.store_last_ingested_offsets/0000000000.copy", "validator/globals.sql", "validator/schema.dump",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func randomDigest(r *rand.Rand) holdfast.Digest {
	return holdfast.Digest{Hi: r.Uint64(), Lo: r.Uint64()}
}

// A table's digest must not depend on the order of its rows, nor on where it
// was cut into segments.
func TestDigestsAddUpInAnyOrderAndGrouping(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		rows := make([]holdfast.Digest, 1+r.IntN(20))
		var want holdfast.Digest
		for i := range rows {
			rows[i] = randomDigest(r)
			want = want.Plus(rows[i])
		}
		r.Shuffle(len(rows), func(i, k int) { rows[i], rows[k] = rows[k], rows[i] })
		cut := r.IntN(len(rows) + 1)
		var left, right holdfast.Digest
		for _, d := range rows[:cut] {
			left = left.Plus(d)
		}
		for _, d := range rows[cut:] {
			right = right.Plus(d)
		}
		if got := right.Plus(left); got != want {
			t.Fatalf("%v in another order and cut at %d adds up to %v", want, cut, got)
		}
	}
}

func TestDigestsCarryAndWrap(t *testing.T) {
	all := ^uint64(0)
	for _, c := range []struct{ a, b, want holdfast.Digest }{
		{holdfast.Digest{}, holdfast.Digest{Hi: 1, Lo: 2}, holdfast.Digest{Hi: 1, Lo: 2}},
		{holdfast.Digest{Lo: all}, holdfast.Digest{Lo: 1}, holdfast.Digest{Hi: 1}},
		{holdfast.Digest{Hi: all, Lo: all}, holdfast.Digest{Lo: 1}, holdfast.Digest{}},
	} {
		if got := c.a.Plus(c.b); got != c.want {
			t.Errorf("%v + %v = %v, want %v", c.a, c.b, got, c.want)
		}
	}
}

func TestADigestThatMissesOrRepeatsARowDiffers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	a, b := randomDigest(r), randomDigest(r)
	both := a.Plus(b)
	for name, other := range map[string]holdfast.Digest{"without b": a, "a twice": a.Plus(a).Plus(b), "nothing": {}} {
		if other == both {
			t.Errorf("%s has the digest of a and b", name)
		}
	}
}

func FuzzDigestText(f *testing.F) {
	f.Add(holdfast.Digest{Hi: 1, Lo: 0xffeeddccbbaa9988}.String())
	f.Add(strings.Repeat("F", 32))
	f.Add(strings.Repeat(" ", 16) + "1" + strings.Repeat(" ", 15))
	f.Add("0x1122334455667788+0x11223344556")
	f.Add("1122334455667788 x12233445566778")
	f.Fuzz(func(t *testing.T, text string) {
		var d holdfast.Digest
		if err := d.UnmarshalText([]byte(text)); err != nil {
			return
		}
		if d.String() != strings.ToLower(text) {
			t.Errorf("%q was read as %s", text, d)
		}
	})
}

func TestDigestTextRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		want := randomDigest(r)
		text, _ := json.Marshal(want)
		var got holdfast.Digest
		if err := json.Unmarshal(text, &got); err != nil || got != want {
			t.Fatalf("%s came back as %v, %v", text, got, err)
		}
	}
}
