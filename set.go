package holdfast

import (
	"context"
	"encoding/hex"
	"io"
	"strings"
	"time"
)

// ManifestSchema is the version of the manifest that this program writes. A
// reader takes every version up to this one and refuses later ones; package
// manifest reads and writes them.
const ManifestSchema = 2

// SetID names a set: the UTC second the run began and eight random hex digits,
// "20261122T154500Z-1f0c9a3e". IDs sort by time.
type SetID string

const idTime = "20060102T150405Z"

// NewSetID makes the ID of a run that begins at now, with four random bytes.
func NewSetID(now time.Time, random [4]byte) SetID {
	return SetID(now.UTC().Format(idTime) + "-" + hex.EncodeToString(random[:]))
}

// Valid reports whether the ID has the form of NewSetID. IDs become names of files
// and databases, and a set may come from elsewhere.
func (id SetID) Valid() bool {
	at, random, _ := strings.Cut(string(id), "-")
	t, err := time.Parse(idTime, at)
	raw, notHex := hex.DecodeString(random)
	return err == nil && notHex == nil && len(raw) == 4 && NewSetID(t, [4]byte(raw)) == id
}

// Began is the second in which the run began; zero for an ID of another form.
func (id SetID) Began() time.Time {
	at, _, _ := strings.Cut(string(id), "-")
	t, err := time.Parse(idTime, at)
	if err != nil {
		return time.Time{}
	}
	return t
}

// State says what a stored set is worth.
type State string

// The states of a set. Only a proven one is offered for restore by default.
const (
	Proven     State = "proven"     // every verdict holds
	Unproven   State = "unproven"   // the order is not contradicted, but a verdict is unknown or a restore would stop
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

// Server is the Postgres server a capture came from.
type Server struct {
	Version  string `json:"version"`     // "15.18 (Debian 15.18-0+deb12u1)"
	Number   int    `json:"version_num"` // 150018
	SystemID string `json:"system_identifier,omitempty"`
	Timeline int    `json:"timeline,omitempty"`
	Standby  bool   `json:"standby,omitempty"`
	// Started is when the server was started; recorded around snapshots alone.
	Started time.Time `json:"started,omitzero"`
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
	Needs    *Needs   `json:"needs,omitempty"`  // what a server must have; nil in sets of before it was recorded
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
// manifest names, and the README next to it. Whatever else was stored by the
// same run, by an attempt that had to be repeated, is not part of it.
func (s Set) FileNames() []string {
	names := []string{ReadmeName}
	for _, c := range s.Captures {
		for _, f := range c.Files() {
			names = append(names, f.Name)
		}
	}
	if s.Identities != nil && s.Identities.SealedFile != "" {
		names = append(names, s.Identities.SealedFile)
	}
	return append(names, s.Deployment.Files()...)
}

// The files at the root of a set.
const (
	ManifestName = "set.json"
	ReadmeName   = "README.md"
)

// SetWriter is where a run puts a set: files first, which can be read back, then
// the seal that names them. The set is visible once the scope that gave the
// writer has ended well.
type SetWriter interface {
	Sink
	Files
	// After returns what stores files that have parts of that set's files.
	After(ctx context.Context, set SetID) (Splice, error)
	Seal(ctx context.Context, set *Set) error
}

// Splice stores a file as Sink.Put does. What fills it may take over ranges of an
// earlier set's files, which are neither read nor stored again.
type Splice func(ctx context.Context, name string, fill func(Splicer) error) (Artifact, error)

// Splicer writes one file of a set.
type Splicer interface {
	io.Writer
	// Divide ends a piece: the file may be divided here, and a range that is taken
	// over one day begins and ends where its file was divided.
	Divide()
	// Take appends a range of the file that the earlier set has under a name. False
	// means that the range is not there as a whole, because the file was not divided
	// at its ends or something of it is lost: nothing was appended.
	Take(ctx context.Context, name string, from, bytes int64) (bool, error)
}
