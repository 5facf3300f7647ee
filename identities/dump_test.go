package identities_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

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

// A dump is found in what Windows, curl, Kubernetes or a copy has made of it.
func TestDumpsAsPeopleHaveThem(t *testing.T) {
	whole := identitiestest.New("alice", [32]byte{1}, identitiestest.Options{}).JSON
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(whole)
	_ = z.Close()
	encoded := base64.StdEncoding.EncodeToString(whole)
	quoted, _ := json.Marshal(string(whole))
	utf16le := []byte{0xff, 0xfe}
	for _, unit := range utf16.Encode([]rune(string(whole))) {
		utf16le = append(utf16le, byte(unit), byte(unit>>8))
	}
	for _, c := range []struct{ name, file, wrappers string }{
		{"as fetched", string(whole), ""},
		{"a byte order mark", "\xef\xbb\xbf" + string(whole), "UTF-8 with a byte order mark"},
		{"PowerShell", string(utf16le), "UTF-16"},
		{"gzip", zipped.String(), "gzip"},
		{"curl -i", "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + string(whole), "an HTTP answer with its headers"},
		{"base64, wrapped", encoded[:76] + "\n" + encoded[76:] + "\n", "base64"},
		{"a secret", "apiVersion: v1\nkind: Secret\ndata:\n  content: " + encoded + "\nmetadata: {}\n", "a Kubernetes secret"},
		{"a secret in JSON", `{"kind": "Secret", "data": {"content": "` + encoded + `"}}`, "a Kubernetes secret"},
		{"a JSON string", string(quoted), "a JSON string"},
		{"base64 of gzip", base64.StdEncoding.EncodeToString(zipped.Bytes()), "base64, gzip"},
	} {
		inner, names := identities.Unwrap([]byte(c.file))
		if got := strings.Join(names, ", "); got != c.wrappers {
			t.Errorf("%s is in %q", c.name, got)
		}
		if _, err := identities.Parse(inner); err != nil || !bytes.Equal(bytes.TrimSpace(inner), bytes.TrimSpace(whole)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if inner, names := identities.Unwrap([]byte("<html>")); len(names) > 0 || string(inner) != "<html>" {
		t.Errorf("%q, %v", inner, names)
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
