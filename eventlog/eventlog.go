// Package eventlog writes events as structured log lines.
//
// The message is the event's type, "backup.CaptureBegan", which never changes
// with the words for people; its fields are the attributes, and "text" is the
// line for people. Events that carry an error are warnings. Reports of progress
// are for debugging: they come often.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"holdfast/event"
)

// To is a listener that writes to the logger. The logger's handler receives the
// context. What an event says goes through hide first, which takes out what is
// secret. Whatever an event does not say itself of these attributes stands on
// each of its lines: of which node it is.
func To(ctx context.Context, log *slog.Logger, hide func(string) string, always ...slog.Attr) event.Listener {
	return func(e event.Event) {
		attrs := append(fields(e), slog.String("text", e.String()))
		for _, a := range always {
			if !slices.ContainsFunc(attrs, func(own slog.Attr) bool { return own.Key == a.Key }) {
				attrs = append(attrs, a)
			}
		}
		level := level(e, attrs)
		for i := range attrs {
			attrs[i].Value = hidden(attrs[i].Value, hide)
		}
		log.LogAttrs(ctx, level, name(e), attrs...)
	}
}

// hidden is a value without what is secret: texts and errors are those that can
// repeat one.
func hidden(v slog.Value, hide func(string) string) slog.Value {
	if v.Kind() != slog.KindString && v.Kind() != slog.KindAny {
		return v
	}
	text := fmt.Sprint(v.Any())
	switch clean := hide(text); {
	case clean == text:
		return v
	case isError(v):
		return slog.AnyValue(errors.New(clean))
	default:
		return slog.StringValue(clean)
	}
}

// name is the event's type with its package.
func name(e event.Event) string { return strings.TrimPrefix(fmt.Sprintf("%T", e), "*") }

// IsWarning reports whether an event is logged as a warning: something failed.
func IsWarning(e event.Event) bool { return level(e, fields(e)) == slog.LevelWarn }

func level(e event.Event, attrs []slog.Attr) slog.Level {
	if _, ok := e.(event.Bytes); ok {
		return slog.LevelDebug
	}
	for _, a := range attrs {
		if isError(a.Value) {
			return slog.LevelWarn
		}
	}
	return slog.LevelInfo
}

func isError(v slog.Value) bool {
	_, is := v.Any().(error)
	return is
}

// fields are the exported fields of an event that is a struct; those of an
// embedded struct count as the event's own.
func fields(e event.Event) []slog.Attr {
	v := reflect.Indirect(reflect.ValueOf(e))
	if v.Kind() != reflect.Struct {
		return nil
	}
	return structFields(v)
}

func structFields(v reflect.Value) []slog.Attr {
	var attrs []slog.Attr
	for i := range v.NumField() {
		f, value := v.Type().Field(i), v.Field(i)
		switch {
		case !f.IsExported():
		case f.Anonymous && value.Kind() == reflect.Struct:
			attrs = append(attrs, structFields(value)...)
		case value.IsZero() && isNone(value):
		default:
			attrs = append(attrs, slog.Any(key(f.Name), plain(value.Interface())))
		}
	}
	return attrs
}

// isNone reports whether a zero value is omitted: no error, no text. A count of
// zero is not.
func isNone(v reflect.Value) bool {
	return v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer || v.Kind() == reflect.String
}

// plain converts a value so that every handler prints it alike: named strings
// and values with a String method as text.
func plain(v any) any {
	switch v := v.(type) {
	case error, time.Time, time.Duration, slog.LogValuer:
		return v
	case fmt.Stringer:
		return v.String()
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.String {
		return r.String()
	}
	return v
}

// key is a field's name as attributes are called: SetID is set_id.
func key(field string) string {
	var b strings.Builder
	letters := []rune(field)
	for i, c := range letters {
		begins := i > 0 && unicode.IsUpper(c) &&
			(unicode.IsLower(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
