package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"github.com/zeebo/xxh3"

	"holdfast/content"
)

// binaryRows makes a binary COPY stream of rows of one field each.
func binaryRows(rows ...[]byte) []byte {
	out := append([]byte(binarySignature), 0, 0, 0, 0, 0, 0, 0, 2, 'e', 'x')
	for _, r := range rows {
		out = append(out, tupleOf(r)...)
	}
	return append(out, 0xff, 0xff)
}

func tupleOf(field []byte) []byte {
	out := binary.BigEndian.AppendUint16(nil, 2)
	out = binary.BigEndian.AppendUint32(out, uint32(len(field)))
	out = append(out, field...)
	return binary.BigEndian.AppendUint32(out, 0xffffffff) // and a null
}

func digestOf(rows ...[]byte) (d content.Digest) {
	for _, r := range rows {
		h := xxh3.Hash128(r)
		d = d.Plus(content.Digest{Hi: h.Hi, Lo: h.Lo})
	}
	return d
}

// A stored file digests as its dump did, whatever the size of its rows; a file
// that is cut anywhere is an error or has fewer rows.
func TestDigestOfStoredRows(t *testing.T) {
	large := bytes.Repeat([]byte("x"), 3*wireBuffer+17)
	small := []byte("small")
	for _, c := range []struct {
		name, format string
		stream       []byte
		rows         int64
		digest       content.Digest
	}{
		{"text", content.TextFormat, []byte("a\tb\nc\td\n"), 2, digestOf([]byte("a\tb\n"), []byte("c\td\n"))},
		{"text, large", content.TextFormat, append(large, '\n'), 1, digestOf(append(bytes.Clone(large), '\n'))},
		{"text, none", content.TextFormat, nil, 0, content.Digest{}},
		{"binary", content.BinaryFormat, binaryRows(small, large, nil), 3,
			digestOf(tupleOf(small), tupleOf(large), tupleOf(nil))},
		{"binary, none", content.BinaryFormat, binaryRows(), 0, content.Digest{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, digest, err := Digest(bytes.NewReader(c.stream), c.format)
			if err != nil || rows != c.rows || digest != c.digest.String() {
				t.Fatalf("%d rows, %s, %v; want %d, %s", rows, digest, err, c.rows, c.digest)
			}
			for at := 0; at < len(c.stream); at += 1 + len(c.stream)/97 {
				if rows, digest, err := Digest(bytes.NewReader(c.stream[:at]), c.format); err == nil &&
					rows == c.rows && digest == c.digest.String() {
					t.Errorf("cut at %d it is the same", at)
				}
			}
		})
	}
	if _, _, err := Digest(io.MultiReader(bytes.NewReader(binaryRows()), strings.NewReader("more")),
		content.BinaryFormat); err == nil {
		t.Error("a stream that goes on behind its trailer is taken")
	}
	if _, _, err := Digest(strings.NewReader(strings.Repeat("no", 40)), content.BinaryFormat); err == nil {
		t.Error("anything is taken for a binary stream")
	}
}
