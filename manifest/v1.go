package manifest

import (
	"encoding/json"

	"holdfast"
	"holdfast/content"
)

// setV1 is a manifest of version 1, where a capture was the dump of one
// database and a deployment a project of Docker Compose.
type setV1 struct {
	holdfast.Set
	Captures   []captureV1      `json:"captures"`
	Deployment *json.RawMessage `json:"deployment"`
}

// captureV1 has everything of a capture in one object.
type captureV1 struct {
	holdfast.Capture
	holdfast.Captured
	content.Rows
}

// deploymentV1 is what was the same for every kind of node. All the rest is
// the kind's own, under the names that it still has there.
type deploymentV1 struct {
	holdfast.Deployment
	Containers []holdfast.Program `json:"containers"`
	Specs      string             `json:"specs_file"`
}

func readV1(text []byte) (holdfast.Set, error) {
	var old setV1
	if err := json.Unmarshal(text, &old); err != nil {
		return holdfast.Set{}, err
	}
	s := old.Set
	s.Schema = holdfast.ManifestSchema
	for _, c := range old.Captures {
		made := c.Capture
		made.Components, made.Content = []holdfast.Captured{c.Captured}, c.Rows
		s.Captures = append(s.Captures, made)
	}
	if old.Deployment == nil {
		return s, nil
	}
	var d deploymentV1
	if err := json.Unmarshal(*old.Deployment, &d); err != nil {
		return holdfast.Set{}, err
	}
	s.Deployment = &d.Deployment
	s.Deployment.Programs, s.Deployment.OwnFile, s.Deployment.Own = d.Containers, d.Specs, *old.Deployment
	return s, nil
}
