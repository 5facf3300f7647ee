package holdfast_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"holdfast"
)

// However a secret is printed or encoded, alone or within something else, its
// value does not show.
func TestSecretsDoNotPrint(t *testing.T) {
	const value = "correct-horse-battery"
	secret := holdfast.NewSecret(value)
	type wrapping struct {
		Name   string
		Secret holdfast.Secret
		Point  *holdfast.Secret
		Many   []holdfast.Secret
		Map    map[string]holdfast.Secret
	}
	wrapped := wrapping{"n", secret, &secret, []holdfast.Secret{secret}, map[string]holdfast.Secret{"k": secret}}
	leaks := func(how, text string) {
		for _, form := range []string{value, fmt.Sprintf("%x", value), fmt.Sprintf("%X", value),
			fmt.Sprintf("% x", value), fmt.Sprintf("%d", []byte(value))} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows it: %s", how, text)
			}
		}
	}
	for verb := range rune(128) {
		if verb < 'A' {
			continue
		}
		for _, flags := range []string{"", "+", "#", "-", " ", "0", "40", ".3", "+#"} {
			format := "%" + flags + string(verb)
			for _, what := range []any{secret, &secret, wrapped, &wrapped, []any{secret},
				fmt.Errorf("wrapped: %v", secret)} {
				leaks(fmt.Sprintf("%s of %T", format, what), fmt.Sprintf(format, what))
			}
		}
	}
	leaks("Sprint", fmt.Sprint(secret, &secret, wrapped))
	for name, encode := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		text, err := encode(wrapped)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		leaks(name, string(text))
		if !strings.Contains(string(text), "[secret]") {
			t.Errorf("%s shows no placeholder: %s", name, text)
		}
	}
	type element struct{ Secret holdfast.Secret }
	text, err := xml.Marshal(element{secret})
	if err != nil {
		t.Error(err)
	}
	leaks("XML", string(text))
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text log": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON log": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("connected", "password", secret, "pointer", &secret, "all", wrapped,
			slog.Group("g", "s", secret))
		leaks(name, b.String())
	}
}

func TestAnEmptySecretDoesNotShowThatItIsEmpty(t *testing.T) {
	var none holdfast.Secret
	if got, want := fmt.Sprint(none), fmt.Sprint(holdfast.NewSecret("x")); got != want {
		t.Errorf("an empty secret prints as %q, another as %q", got, want)
	}
	if !none.IsEmpty() || holdfast.NewSecret("x").IsEmpty() {
		t.Error("IsEmpty is wrong")
	}
	if holdfast.NewSecret("x").Reveal() != "x" {
		t.Error("Reveal does not give the value")
	}
	read, err := holdfast.Fixed(holdfast.NewSecret("x"))(t.Context())
	if err != nil || read.Reveal() != "x" {
		t.Error("Fixed does not give the value")
	}
}
