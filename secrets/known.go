package secrets

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"holdfast"
)

// How much of a secret is recognised. A short one may be a word of any text, and
// is hidden only where it stands by itself; one below the least is not hidden at
// all. The beginning of a long one is enough: whoever repeats it may cut it.
const (
	leastHidden = 6
	long        = 16
	beginning   = 24
)

// Known are the secrets that a program has read, so that what others repeat of
// them, in an error or a notice, is hidden before it is printed or stored. The
// nil one knows none. It is safe for use by several goroutines.
type Known struct {
	mu    sync.RWMutex
	names map[string]bool // words that are no secret, whoever chose one as a password
	forms []string        // each secret as it is written in texts, the longest first
}

// Learn remembers a secret, and returns it.
func (k *Known) Learn(s holdfast.Secret) holdfast.Secret {
	if k == nil {
		return s
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, line := range append(strings.Split(s.Reveal(), "\n"), s.Reveal()) {
		for _, form := range formsOf(strings.TrimSpace(line)) {
			if len(form) >= leastHidden && !slices.Contains(k.forms, form) {
				k.forms = append(k.forms, form)
			}
		}
	}
	slices.SortFunc(k.forms, func(a, b string) int { return len(b) - len(a) })
	return s
}

// LearnFrom is a function that remembers what it reads; nil for nil.
func (k *Known) LearnFrom(read holdfast.SecretFunc) holdfast.SecretFunc {
	if read == nil || k == nil {
		return read
	}
	return func(ctx context.Context) (holdfast.Secret, error) {
		s, err := read(ctx)
		return k.Learn(s), err
	}
}

// LearnAll is a reader of each kind that remembers what it reads.
func (k *Known) LearnAll(readers Readers) Readers {
	out := Readers{}
	for scheme, read := range readers {
		out[scheme] = func(ctx context.Context, place string) (holdfast.Secret, error) {
			s, err := read(ctx, place)
			return k.Learn(s), err
		}
	}
	return out
}

// Spare names words that stay legible: to hide the name of a database wherever it
// is printed, because it is its password too, would say so.
func (k *Known) Spare(names ...string) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.names == nil {
		k.names = map[string]bool{}
	}
	for _, name := range names {
		k.names[name] = true
	}
}

// Hide returns a text without the secrets.
func (k *Known) Hide(text string) string {
	if k == nil {
		return text
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, form := range k.forms {
		if !k.names[form] {
			text = hide(text, form)
		}
	}
	return text
}

// HideJSON returns a JSON text whose strings have no secrets. Keys stay, and what
// is no JSON does.
func (k *Known) HideJSON(text []byte) []byte {
	if k == nil {
		return text
	}
	var out bytes.Buffer
	for rest := text; len(rest) > 0; {
		begin := bytes.IndexByte(rest, '"')
		end := endOfString(rest, begin)
		if end < 0 {
			out.Write(rest)
			break
		}
		out.Write(rest[:begin])
		out.Write(k.hideString(rest[begin:end], rest[end:]))
		rest = rest[end:]
	}
	return out.Bytes()
}

// Writer hides the secrets in what is written to it. A secret is recognised
// within one call of Write.
func (k *Known) Writer(w io.Writer) io.Writer { return hiding{k, w} }

type hiding struct {
	known *Known
	w     io.Writer
}

func (h hiding) Write(p []byte) (int, error) {
	if _, err := io.WriteString(h.w, h.known.Hide(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// hideString hides what is secret in a string of JSON, unless it is a key.
func (k *Known) hideString(quoted, after []byte) []byte {
	var text string
	if bytes.HasPrefix(bytes.TrimLeft(after, " \t\r\n"), []byte(":")) || json.Unmarshal(quoted, &text) != nil {
		return quoted
	}
	hidden := k.Hide(text)
	if hidden == text {
		return quoted
	}
	out, _ := json.Marshal(hidden) // a string encodes
	return out
}

// endOfString is where the string of JSON that begins there ends; -1 for none.
func endOfString(text []byte, begin int) int {
	if begin < 0 {
		return -1
	}
	for i := begin + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// formsOf are the ways in which others write a secret.
func formsOf(secret string) []string {
	out := []string{secret}
	encoded, _ := json.Marshal(secret)
	for _, form := range []string{
		strings.Trim(strconv.Quote(secret), `"`), strings.Trim(string(encoded), `"`),
		url.QueryEscape(secret), url.PathEscape(secret),
	} {
		if !slices.Contains(out, form) {
			out = append(out, form)
		}
	}
	return out
}

// hide replaces one secret in a text.
func hide(text, secret string) string {
	enough := len(secret)
	if len(secret) >= long {
		enough = min(beginning, len(secret)*3/4)
	}
	var out strings.Builder
	from := 0
	for {
		i := strings.Index(text[from:], secret[:enough])
		if i < 0 {
			break
		}
		begin := from + i
		end := begin + enough
		for end < len(text) && end-begin < len(secret) && text[end] == secret[end-begin] {
			end++
		}
		if len(secret) < long && !alone(text, begin, end) {
			out.WriteString(text[from:end])
		} else {
			out.WriteString(text[from:begin] + holdfast.Secret{}.String())
		}
		from = end
	}
	if from == 0 {
		return text
	}
	return out.String() + text[from:]
}

// alone reports whether a part of a text is no part of a word.
func alone(text string, begin, end int) bool {
	isWord := func(c byte) bool {
		return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= 0x80
	}
	return (begin == 0 || !isWord(text[begin-1])) && (end == len(text) || !isWord(text[end]))
}
