// Package manifest reads and writes the manifest of a set: what a set consists
// of, in JSON. docs/format.md describes it.
package manifest

import (
	"encoding/json"
	"fmt"
	"io"

	"holdfast"
	"holdfast/content"
)

// Write writes the manifest of a set.
func Write(w io.Writer, set holdfast.Set) error {
	text, err := json.MarshalIndent(set, "", " ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// Read reads a manifest of any version up to the one that Write writes. The
// older ones are converted: what it returns is a set of the current version.
// It believes nothing; Set.Problems judges what was read.
func Read(r io.Reader) (holdfast.Set, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return holdfast.Set{}, err
	}
	var version struct {
		Schema   int
		Holdfast string
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return holdfast.Set{}, err
	}
	switch {
	case version.Schema > holdfast.ManifestSchema:
		return holdfast.Set{Schema: version.Schema}, &holdfast.Problem{Class: holdfast.Undetermined,
			What: fmt.Sprintf("the manifest is of version %d%s; this Holdfast reads up to %d",
				version.Schema, by(version.Holdfast), holdfast.ManifestSchema),
			Do: "Use the Holdfast version that wrote it, or a later one."}
	case version.Schema == 1:
		return readV1(text)
	}
	return read(text)
}

// by says which version of Holdfast wrote a manifest, where it is known.
func by(version string) string {
	if version == "" {
		return ""
	}
	return fmt.Sprintf(", written by Holdfast %q", version)
}

// set is a manifest of which the contents of captures are still to be decoded.
type set struct {
	holdfast.Set
	Captures []capture `json:"captures"`
}

type capture struct {
	holdfast.Capture
	Content json.RawMessage `json:"content"`
}

func read(text []byte) (holdfast.Set, error) {
	var s set
	if err := json.Unmarshal(text, &s); err != nil {
		return holdfast.Set{}, err
	}
	out := s.Set
	for _, c := range s.Captures {
		decoded, err := content.Decode(c.Method, c.Content)
		if err != nil {
			return holdfast.Set{}, err
		}
		c.Capture.Content = decoded
		out.Captures = append(out.Captures, c.Capture)
	}
	return out, nil
}
