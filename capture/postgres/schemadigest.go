package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"holdfast"
)

// schemaDigest passes a schema dump on and takes its digest: of all but the
// time in its header, which is the only part of two dumps of one schema that
// differs.
type schemaDigest struct {
	to    io.Writer
	held  []byte // until it is known where the time stands
	begun bool   // the header is hashed
	hash  hash.Hash
}

func newSchemaDigest(to io.Writer) *schemaDigest { return &schemaDigest{to: to, hash: sha256.New()} }

// headMost holds the header of an archive up to its time, with integers of 8
// bytes.
const headMost = 128

func (d *schemaDigest) Write(p []byte) (int, error) {
	n, err := d.to.Write(p)
	if d.held = append(d.held, p[:n]...); len(d.held) >= headMost {
		d.flush()
	}
	return n, err
}

// flush hashes what is held back.
func (d *schemaDigest) flush() {
	if !d.begun {
		from, to := timeOf(d.held)
		d.hash.Write(d.held[:from])
		d.held, d.begun = d.held[to:], true
	}
	d.hash.Write(d.held)
	d.held = d.held[:0]
}

// timeOf says where the time stands in a header of pg_dump's custom format:
// "PGDMP", version, size of integers and of offsets, format, compression, and
// then seven integers, each with a sign. What is no header has none.
func timeOf(head []byte) (from, to int) {
	const fixed, fields = 11, 7
	if len(head) < headMost || string(head[:5]) != "PGDMP" {
		return 0, 0
	}
	integer := 1 + int(head[8])
	from = fixed + 1 // since 1.15 the compression is one byte
	if head[6] < 15 {
		from = fixed + integer
	}
	if to = from + fields*integer; to > len(head) {
		return 0, 0
	}
	return from, to
}

// sum is the digest of the schema with those versions of extensions.
func (d *schemaDigest) sum(extensions []holdfast.Extension) string {
	d.flush()
	for _, e := range extensions {
		d.hash.Write([]byte(e.Name + " " + e.Version + "\n"))
	}
	return hex.EncodeToString(d.hash.Sum(nil))
}
