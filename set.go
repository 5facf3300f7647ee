package holdfast

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// ManifestSchema is the version of the manifest that this program writes. A
// reader takes every version up to this one and refuses later ones.
const ManifestSchema = 1

// SetID names a set: the UTC second the run began and eight random hex digits,
// "20261122T154500Z-1f0c9a3e". IDs sort by time.
type SetID string

// NewSetID makes the ID of a run that begins at now, with four random bytes.
func NewSetID(now time.Time, random [4]byte) SetID {
	return SetID(now.UTC().Format("20060102T150405Z") + "-" + hex.EncodeToString(random[:]))
}

// State says what a stored set is worth.
type State string

// The states of a set. Only a proven one is offered for restore by default.
const (
	Proven     State = "proven"     // every verdict holds
	Unproven   State = "unproven"   // nothing contradicts, but a verdict cannot be told
	Misordered State = "misordered" // the evidence contradicts the order: not a backup
	Mismatched State = "mismatched" // its parts come from different nodes: not a backup
)

// Moment is one instant of a run: the wall clock for people, and the time on
// one monotonic clock since the run began, for proof.
type Moment struct {
	Wall  time.Time     `json:"wall"`
	Since time.Duration `json:"since_begin_ns"`
}

// Set is the manifest of one run: what was captured, in which order, from
// what, and the evidence. It carries no secrets.
type Set struct {
	Schema     int             `json:"schema"`
	ID         SetID           `json:"id"`
	Node       Node            `json:"node"`
	State      State           `json:"state"`
	Holdfast   string          `json:"holdfast"` // version of the program that took it
	Host       string          `json:"host"`
	Began      Moment          `json:"began"`
	Ended      Moment          `json:"ended"`
	Attempt    int             `json:"attempt"` // 1, or 2 after a retry
	Captures   []Capture       `json:"captures"`
	Identities *IdentityFacts  `json:"identities,omitempty"`
	Deployment *Deployment     `json:"deployment,omitempty"` // how the node ran; absent in sets of nodes given by connection strings
	Missing    []string        `json:"missing,omitempty"`    // what could not be taken, and why
	Order      OrderProof      `json:"order"`
	Members    MembershipProof `json:"membership"`
}

// Capture is one component's bytes taken once, and what was learnt while they
// were taken.
type Capture struct {
	Component  ComponentName `json:"component"`
	Kind       Kind          `json:"kind"`
	Method     string        `json:"method"` // "dump"
	Began      Moment        `json:"began"`
	Consistent Moment        `json:"consistent_at"` // the snapshot was taken by then
	Ended      Moment        `json:"ended"`
	Server     Server        `json:"server"`
	Database   Database      `json:"database"`
	WAL        WAL           `json:"wal"`
	Schema     string        `json:"schema_file"`  // pg_dump custom format, no data
	Globals    string        `json:"globals_file"` // roles without passwords, database settings
	Tables     []Table       `json:"tables"`
	Sequences  []Sequence    `json:"sequences,omitempty"`
	Views      []View        `json:"materialized_views,omitempty"`
	LeftOut    []LeftOut     `json:"left_out,omitempty"`
	Bytes      int64         `json:"bytes_read"`
	Waits      []Wait        `json:"waits_caused,omitempty"`
	Facts      Facts         `json:"facts"`
}

// Server is the Postgres server a capture came from.
type Server struct {
	Version  string `json:"version"`     // "15.18 (Debian 15.18-0+deb12u1)"
	Number   int    `json:"version_num"` // 150018
	SystemID string `json:"system_identifier,omitempty"`
	Timeline int    `json:"timeline,omitempty"`
	Standby  bool   `json:"standby,omitempty"`
}

// Major is the server's major version, 15 for 15.18.
func (s Server) Major() int { return s.Number / 10000 }

// Database is what CREATE DATABASE needs to know, and who owned it.
type Database struct {
	Name     string   `json:"name"`
	Owner    string   `json:"owner"`
	Encoding string   `json:"encoding"`
	Collate  string   `json:"collate"`
	CType    string   `json:"ctype"`
	Provider string   `json:"locale_provider"` // "libc", "icu" or "builtin"
	Locale   string   `json:"locale,omitempty"`
	Rules    string   `json:"icu_rules,omitempty"`
	Bytes    int64    `json:"bytes"`
	Roles    []string `json:"roles,omitempty"`  // owners and grantees of its objects
	Owners   []string `json:"owners,omitempty"` // those of them that own something; none in sets of before it was recorded
	Grants   []Grant  `json:"grants,omitempty"` // what is granted to those that do not own it
}

// Grant is what a role may do with others' objects: a row security policy that
// names it counts as well.
type Grant struct {
	Role string   `json:"role"`
	On   []string `json:"on,omitempty"` // as Postgres describes objects: "table participant.par_contracts"
}

// WAL says where in the write-ahead log the capture stands. Every change
// logged at or before Before by a transaction that is not in doubt is in the
// capture, so a later capture may skip pages not written since.
type WAL struct {
	Before  string `json:"before"`  // the position read before the snapshot was taken
	Settled bool   `json:"settled"` // the transactions then open ended before the snapshot
}

// The formats of a table's segments.
const (
	BinaryFormat = "binary"
	TextFormat   = "text"
)

// Table is one table's rows as captured. Its digest is the sum of its
// segments' digests, so it does not depend on the order of rows or on where
// the table was cut.
type Table struct {
	Schema    string    `json:"schema"`
	Name      string    `json:"name"`
	Format    string    `json:"format"`
	Columns   []string  `json:"columns"`             // in the order of the stream; generated ones are left out
	Types     []string  `json:"types"`               // of the columns
	Condition string    `json:"condition,omitempty"` // of an extension's configuration table
	Rows      int64     `json:"rows"`
	Bytes     int64     `json:"bytes"`
	Digest    Digest    `json:"digest"`
	Segments  []Segment `json:"segments"`
}

// Segment is one file of a table: the rows whose tuples lie in the heap blocks
// [From, To), or all of them where To is 0.
type Segment struct {
	File   string `json:"file"`
	From   int64  `json:"from_block"`
	To     int64  `json:"to_block,omitempty"`
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	Digest Digest `json:"digest"`
}

// Sequence is a sequence's position, read after the snapshot was taken, so
// that it is never behind a row of the capture.
type Sequence struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
	Last   int64  `json:"last_value"`
	Called bool   `json:"is_called"`
}

// View is a materialized view that was populated; a restore refreshes them in
// this order.
type View struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// LeftOut names something a capture does not carry, and why that is right.
type LeftOut struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Wait is a session of the node that waited behind a lock of ours.
type Wait struct {
	PID      int           `json:"pid"`
	Relation string        `json:"relation"`
	Mode     string        `json:"mode"`
	Waited   time.Duration `json:"waited_ns"`
}

// Digest is an order-independent digest of rows: the sum, modulo 2^128, of a
// 128-bit hash (XXH3) of each row as COPY prints it. Equal digests and equal
// row counts mean equal rows, whatever order they came in.
type Digest struct{ Hi, Lo uint64 }

// Plus returns the digest of both parts together.
func (d Digest) Plus(o Digest) Digest {
	lo, carry := bits.Add64(d.Lo, o.Lo, 0)
	hi, _ := bits.Add64(d.Hi, o.Hi, carry)
	return Digest{hi, lo}
}

// String returns 32 hexadecimal digits.
func (d Digest) String() string { return fmt.Sprintf("%016x%016x", d.Hi, d.Lo) }

// MarshalText encodes the digest as String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText decodes what MarshalText wrote.
func (d *Digest) UnmarshalText(text []byte) error {
	var b [16]byte
	if n, err := hex.Decode(b[:], text[:min(len(text), 32)]); err != nil || n != len(b) || len(text) != 32 {
		return fmt.Errorf("digest %q: want 32 hexadecimal digits", text)
	}
	d.Hi, d.Lo = binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return nil
}

// Artifact is one stored file of a set.
type Artifact struct {
	Name  string
	Bytes int64
}

// Sink takes the files of a set. Put calls fill once with a writer and stores
// what it wrote under name, a slash-separated path within the set; a file
// whose fill or whose storing failed is not part of the set. Put may be called
// from several goroutines.
type Sink interface {
	Put(ctx context.Context, name string, fill func(io.Writer) error) (Artifact, error)
}

// Files gives back the files of a stored set by name.
type Files interface {
	Open(ctx context.Context, name string) (io.ReadCloser, error)
}

// Clock reads one run's clock: the wall for people, one monotonic clock for
// proof.
type Clock func() Moment

// FileNames returns the names of the files that belong to the set: those its
// manifest names, and the README beside it. Whatever else was stored by the
// same run, by an attempt that had to be repeated, is not part of it.
func (s Set) FileNames() []string {
	names := []string{ReadmeName}
	for _, c := range s.Captures {
		names = append(names, c.Schema, c.Globals)
		for _, t := range c.Tables {
			for _, g := range t.Segments {
				names = append(names, g.File)
			}
		}
	}
	if s.Identities != nil && s.Identities.SealedFile != "" {
		names = append(names, s.Identities.SealedFile)
	}
	if d := s.Deployment; d != nil {
		if d.Specs != "" {
			names = append(names, d.Specs)
		}
		for _, k := range d.Kept {
			names = append(names, k.File)
		}
	}
	return names
}

// The files at the root of a set.
const (
	ManifestName = "set.json"
	ReadmeName   = "README.md"
)

// SetWriter is where a run puts a set: files first, then the seal that names
// them. The set is visible once the scope that gave the writer has ended well.
type SetWriter interface {
	Sink
	Seal(ctx context.Context, set *Set) error
}

// Outlook is what looking at a component tells before anything is captured.
type Outlook struct {
	Component   ComponentName `json:"component"`
	Found       string        `json:"found"`                    // "the database of the Canton participant ..."
	Participant string        `json:"participant_id,omitempty"` // as far as the database tells
	Database    string        `json:"database"`
	Postgres    string        `json:"postgres"`
	Bytes       int64         `json:"bytes"` // of the database
	Tables      []TableSize   `json:"tables"`
	LeftOut     []LeftOut     `json:"left_out,omitempty"`
	// Instance identifies the database among all there are, whatever name and
	// address it was found by; "" when that is unknown.
	Instance string `json:"-"`
}

// TableSize is one table that a capture will read.
type TableSize struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"` // without indexes
	Format string `json:"format"`
}
