package secretmanager

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"holdfast"
)

// Reader reads the secrets behind references of one scheme: NAME, or NAME#KEY for
// one key of a value that is a JSON object. Open gives the manager, and the
// secret's name in it.
func Reader(
	open func(ctx context.Context, name string) (Manager, string, error),
) func(ctx context.Context, reference string) (holdfast.Secret, error) {
	return func(ctx context.Context, reference string) (holdfast.Secret, error) {
		name, key, _ := strings.Cut(reference, "#")
		m, name, err := open(ctx, name)
		if err != nil {
			return holdfast.Secret{}, err
		}
		_, value, err := m.Read(ctx, name, "")
		if err != nil || key == "" {
			return value, err
		}
		return field(value, key, "read "+m.Where(name, ""))
	}
}

// field is one key of a value. The names of the others are shown: they are what
// a typing error is found by, and no secrets.
func field(value holdfast.Secret, key, what string) (holdfast.Secret, error) {
	p := &holdfast.Problem{Class: holdfast.Usage, What: what + "#" + key, Do: "Correct the reference, or the secret."}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(value.Reveal()), &fields) != nil {
		p.Err = errors.New("the secret is one text and has no keys")
		p.Do = "Leave out #" + key + "."
		return holdfast.Secret{}, p
	}
	raw, there := fields[key]
	if !there {
		p.Err = errors.New("there is no such key; there are: " + strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		return holdfast.Secret{}, p
	}
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw) // a number, or more JSON
	}
	return holdfast.NewSecret(text), nil
}
