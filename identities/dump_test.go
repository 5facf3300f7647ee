package identities_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
)

func TestWhatIsNoDumpSaysWhatItIs(t *testing.T) {
	whole := string(identitiestest.New("alice", [32]byte{1}, identitiestest.Options{}).JSON)
	for _, c := range []struct{ name, body, want string }{
		{"nothing", "", "it is empty"},
		{"white space", " \n", "it is empty"},
		{"the wallet's page", "<!DOCTYPE html><html></html>", "it is a web page"},
		{"a list", "[1]", "not a JSON object"},
		{"half a download", whole[:len(whole)/2], "ends in the middle"},
		{"a download that lost its last byte", whole[:len(whole)-1], "ends in the middle"},
		{"a strange byte", `{"id": nope}`, "from byte 9 on it is not JSON"},
		{"a field of another kind", `{"id": 5}`, "field id has an unexpected type"},
		{"an error", `{"error":"Authorization Failed\nfor bob"}`, "answered with an error: \"Authorization Failed\\nfor bob\""},
		{"no keys", `{"id":"PAR::a::1220","keys":[],"authorizedStoreSnapshot":"AA=="}`, "it has no keys"},
		{"no snapshot, no id", `{"keys":[{"keyPair":"AA=="}]}`, "it has no id and no authorizedStoreSnapshot"},
		{"an SV's dump in an SV's dump", `{"identities":{"participant":{"identities":{"participant":{}}}}}`, "it has no id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identities.Parse([]byte(c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			if why, do := holdfast.Advice(err); why == "" || do == "" {
				t.Errorf("no advice: %q %q", why, do)
			}
		})
	}
}

func TestASuperValidatorsDumpIsReadForItsParticipant(t *testing.T) {
	participant := identitiestest.New("sv-1", [32]byte{2}, identitiestest.Options{Version: "0.6.11"})
	dump := parse(t, identitiestest.SuperValidator(participant))
	alone := parse(t, participant.JSON)
	if !dump.SuperValidator || dump.ID != alone.ID || dump.Content() != alone.Content() {
		t.Errorf("got %+v, want the content of %+v", dump, alone)
	}
}

func TestFieldsOfLaterReleasesAreIgnored(t *testing.T) {
	body := identitiestest.New("alice", [32]byte{1}, identitiestest.Options{}).JSON
	later := strings.Replace(string(body), "{", `{"somethingNew": {"a": [1, null]}, `, 1)
	if parse(t, []byte(later)).Content() != parse(t, body).Content() {
		t.Error("a field that nobody knows changed the content")
	}
}

// Real dumps hold real keys, so none is in this repository. Splice's own test
// resources have four.
func TestRealDumps(t *testing.T) {
	dir := os.Getenv("HOLDFAST_TEST_DUMPS")
	if dir == "" {
		t.Skip("needs real dumps: set HOLDFAST_TEST_DUMPS to a directory of them")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no dumps in %s (%v)", dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range parse(t, body).Check(nil) {
				t.Logf("%d %s: %s: %s", f.Number, f.Title, f.Verdict, f.Evidence)
				if f.Verdict == holdfast.Violated {
					t.Errorf("check %d is violated", f.Number)
				}
			}
		})
	}
}

func parse(t *testing.T, body []byte) *identities.Dump {
	t.Helper()
	dump, err := identities.Parse(body)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}
