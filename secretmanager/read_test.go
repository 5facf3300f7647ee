package secretmanager_test

import (
	"context"
	"testing"

	"holdfast"
	"holdfast/secretmanager"
	"holdfast/secretmanager/secretmanagertest"
)

// A key of a value may be a number or more JSON, and a value one text.
func TestFieldsOfAReference(t *testing.T) {
	server := secretmanagertest.NewAWS(t)
	m := awsAt(t, server.URL, secretmanager.CallTime)
	server.Put("object", `{"port": 5432, "more": {"a": 1}}`)
	server.Put("text", "hunter2")
	read := secretmanager.Reader(func(_ context.Context, name string) (secretmanager.Manager, string, error) {
		return m, name, nil
	})
	for reference, want := range map[string]string{
		"object#port": "5432", "object#more": `{"a": 1}`, "text": "hunter2",
	} {
		if got, err := read(t.Context(), reference); err != nil || got.Reveal() != want {
			t.Errorf("%s: %q, %v", reference, got.Reveal(), err)
		}
	}
	_, err := read(t.Context(), "text#key")
	expect(t, err, holdfast.Usage, "one text and has no keys", "Leave out #key")
}
