package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"holdfast/place"
)

// MoveRepository is the text of a configuration file with another place in
// repository.path. Nothing else of the text is touched, so comments and order stay,
// and what it says otherwise is proven to be the same. The error says why the file
// has to be changed by hand.
func MoveRepository(path string, text []byte, to place.Place) ([]byte, error) {
	before, err := Parse(path, text, nil)
	if err != nil {
		return nil, err
	}
	if before.Repository.Access != (Access{}) || before.Repository.Limits != (Limits{}) {
		return nil, errors.New("repository.access and repository.limits are those of the old place")
	}
	for _, second := range before.Copies {
		if place.Share(second.Place, to) == place.Itself {
			return nil, errors.New("the new place is one of copies:, and has its access and limits there")
		}
	}
	tree, err := document(text)
	if err != nil {
		return nil, err
	}
	value := entryOf(entryOf(tree, "repository"), "path")
	if value == nil || value.Kind != yaml.ScalarNode || value.Anchor != "" {
		return nil, errors.New("repository.path is not one plain value in the file")
	}
	next, err := replaced(text, value, "'"+strings.ReplaceAll(to.String(), "'", "''")+"'")
	if err != nil {
		return nil, err
	}
	after, err := Parse(path, next, nil)
	if err != nil {
		return nil, fmt.Errorf("the changed file would not be valid: %w", err)
	}
	a, b := *before, *after
	a.Repository.Place, a.origins, b.origins = to, nil, nil
	if !reflect.DeepEqual(a, b) {
		return nil, errors.New("the change would alter something else")
	}
	return next, nil
}

// entryOf is the value of a key; nil without one.
func entryOf(of *yaml.Node, key string) *yaml.Node {
	if of == nil || of.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(of.Content); i += 2 {
		if of.Content[i].Value == key {
			return of.Content[i+1]
		}
	}
	return nil
}

// replaced is a text with another value in the place of one, which has to stand
// there as it is written most plainly.
func replaced(text []byte, value *yaml.Node, with string) ([]byte, error) {
	written := value.Value
	switch {
	case value.Style&yaml.SingleQuotedStyle != 0:
		written = "'" + strings.ReplaceAll(written, "'", "''") + "'"
	case value.Style&yaml.DoubleQuotedStyle != 0:
		written = `"` + written + `"`
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if value.Line < 1 || value.Line > len(lines) {
		return nil, errors.New("repository.path is not found in the text")
	}
	at := 0
	for _, line := range lines[:value.Line-1] {
		at += len(line)
	}
	runes := []rune(string(lines[value.Line-1]))
	if value.Column < 1 || value.Column > len(runes) {
		return nil, errors.New("repository.path is not found in the text")
	}
	at += len(string(runes[:value.Column-1]))
	if !bytes.HasPrefix(text[at:], []byte(written)) {
		return nil, errors.New("repository.path is written in an unusual way")
	}
	return append(append(bytes.Clone(text[:at]), with...), text[at+len(written):]...), nil
}
