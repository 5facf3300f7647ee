package identities

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// wrapper is something that a dump may have been put into on its way.
type wrapper struct {
	name string
	open func([]byte) ([]byte, bool)
}

var wrappers = []wrapper{
	{"UTF-8 with a byte order mark", func(data []byte) ([]byte, bool) { return bytes.CutPrefix(data, []byte("\xef\xbb\xbf")) }},
	{"UTF-16", fromUTF16},
	{"gzip", unzipped},
	{"an HTTP answer with its headers", bodyOf},
	{"a Kubernetes secret", fromSecret},
	{"a JSON string", unquotedJSON},
	{"base64", fromBase64},
}

// Unwrap returns a dump as it was before Windows, curl, Kubernetes or a copy had
// wrapped it, and names the wrappers, the outermost first. A file that is not
// wrapped comes back as it is. An import takes only what is not wrapped.
func Unwrap(data []byte) (inner []byte, names []string) {
	const layers = 4
	inner = bytes.TrimSpace(data)
	for range layers {
		i := slices.IndexFunc(wrappers, func(w wrapper) bool {
			opened, ok := w.open(inner)
			if ok {
				inner = bytes.TrimSpace(opened)
			}
			return ok
		})
		if i < 0 {
			break
		}
		names = append(names, wrappers[i].name)
	}
	return inner, names
}

// withoutMark is a text in UTF-8 without a byte order mark. PowerShell writes
// UTF-16.
func withoutMark(data []byte) []byte {
	if text, ok := fromUTF16(data); ok {
		return text
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
}

func fromUTF16(data []byte) ([]byte, bool) {
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xfe")):
	case bytes.HasPrefix(data, []byte("\xfe\xff")):
		order = binary.BigEndian
	default:
		return nil, false
	}
	var units []uint16
	for i := 2; i+1 < len(data); i += 2 {
		units = append(units, order.Uint16(data[i:]))
	}
	return []byte(string(utf16.Decode(units))), true
}

func unzipped(data []byte) ([]byte, bool) {
	if !bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		return nil, false
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, false
	}
	inner, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	return inner, err == nil
}

// bodyOf is what follows the headers that curl -i prints.
func bodyOf(data []byte) ([]byte, bool) {
	if !bytes.HasPrefix(data, []byte("HTTP/")) {
		return nil, false
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	_, body, ok := bytes.Cut(data, []byte("\n\n"))
	return body, ok
}

// The secret that Splice's Helm charts take an identities dump from has it below
// data.content, in base64 (kubectl get secret -o yaml).
var secretContent = regexp.MustCompile(`(?m)^\s+(?:content|"content")\s*:\s*["']?([A-Za-z0-9+/=]+)["']?\s*,?\s*$`)

func fromSecret(data []byte) ([]byte, bool) {
	if !bytes.Contains(data, []byte("Secret")) {
		return nil, false
	}
	var object struct {
		Kind string            `json:"kind"`
		Data map[string][]byte `json:"data"`
	}
	if json.Unmarshal(data, &object) == nil && object.Kind == "Secret" && len(object.Data["content"]) > 0 {
		return object.Data["content"], true
	}
	m := secretContent.FindSubmatch(data)
	if m == nil || bytes.HasPrefix(data, []byte("{")) {
		return nil, false
	}
	return fromBase64(m[1])
}

// unquotedJSON is a JSON text within a JSON string.
func unquotedJSON(data []byte) ([]byte, bool) {
	var text string
	if !bytes.HasPrefix(data, []byte(`"`)) || json.Unmarshal(data, &text) != nil {
		return nil, false
	}
	return []byte(text), true
}

// fromBase64 decodes what is base64 and nothing else, with or without line ends.
func fromBase64(data []byte) ([]byte, bool) {
	text := strings.Join(strings.Fields(string(data)), "")
	const shortest = 64 // a shorter one may as well be a word
	if len(text) < shortest {
		return nil, false
	}
	inner, err := base64.StdEncoding.DecodeString(text)
	return inner, err == nil
}
