package manifest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/content"
)

// A field that a manifest of version 1 has and that nothing reads any more
// would be lost without a word.
func TestEveryFieldOfVersion1IsKnown(t *testing.T) {
	files, err := filepath.Glob("../testdata/set-v1*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s setV1
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&s); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// What is written is what is read again, whatever captures hold.
func TestWrittenSetsComeBack(t *testing.T) {
	want := holdfast.Set{Schema: holdfast.ManifestSchema, ID: "20261122T154500Z-1f0c9a3e", Captures: []holdfast.Capture{
		{Method: holdfast.Dump, Components: []holdfast.Captured{{Component: "app", Kind: holdfast.App}}, Content: content.Rows{
			Schema: "app/schema.dump", Globals: "app/globals.sql",
			Tables: []content.Table{{Schema: "public", Name: "t", Rows: 1, Segments: []content.Segment{{File: "app/data/t", Rows: 1, Digest: content.Digest{Lo: 7}}}}},
		}},
		{Method: holdfast.Physical, Components: []holdfast.Captured{{Component: "validator"}, {Component: "participant"}}, Content: content.ServerFiles{Names: []string{"server/base.tar"}}},
		{Method: holdfast.Snapshot, Components: []holdfast.Captured{{Component: "sequencer", Before: &holdfast.Reading{Server: holdfast.Server{Timeline: 1, Started: time.Unix(7, 0).UTC()}}}}, Content: content.Reference{Keeper: "cloud", ID: "snap-1"}},
	}, Deployment: &holdfast.Deployment{Kind: "compose", Programs: []holdfast.Program{{Name: "a", Image: "b"}}, Own: json.RawMessage(`{"project":"p"}`)}}
	var text bytes.Buffer
	if err := Write(&text, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(&text)
	if err != nil {
		t.Fatal(err)
	}
	var own bytes.Buffer
	if err := json.Compact(&own, got.Deployment.Own); err != nil {
		t.Fatal(err)
	}
	got.Deployment.Own = own.Bytes()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v comes back as %+v", want, got)
	}
	for _, name := range []string{"app/schema.dump", "app/globals.sql", "app/data/t", "server/base.tar"} {
		if !strings.Contains(strings.Join(got.FileNames(), " "), name) {
			t.Errorf("file %s is not the set's: %v", name, got.FileNames())
		}
	}
}

func TestASetWithoutADeploymentHasNone(t *testing.T) {
	for _, text := range []string{`{"schema": 1}`, `{"schema": 1, "deployment": null}`, `{"schema": 2}`} {
		if set, err := Read(strings.NewReader(text)); err != nil || set.Deployment != nil || set.Schema != holdfast.ManifestSchema {
			t.Errorf("%s is read as %+v, %v", text, set, err)
		}
	}
}

func TestManifestsThatCannotBeRead(t *testing.T) {
	for text, class := range map[string]holdfast.Class{
		`{"schema": 3}`: holdfast.Undetermined,
		`{"schema": 2, "captures": [{"method": "rsync", "content": {}}]}`: holdfast.Undetermined,
		`{"schema": 2, "captures": [{"method": "dump", "content": 7}]}`:   holdfast.Failed,
		`{"schema": 2, "captures": [{"method": "dump"}]}`:                 holdfast.Failed,
		`{"schema": 1, "captures": 7}`:                                    holdfast.Failed,
		`{"schema": 1, "deployment": 7}`:                                  holdfast.Failed,
		`no JSON`:                                                         holdfast.Failed,
		``:                                                                holdfast.Failed,
	} {
		if set, err := Read(strings.NewReader(text)); err == nil || holdfast.ClassOf(err) != class {
			t.Errorf("%s is read as %+v, %s: %v", text, set, holdfast.ClassOf(err), err)
		}
	}
}
