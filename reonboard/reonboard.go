package reonboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"holdfast"
)

// Job prepares a node to be made again from its identities.
type Job struct {
	Node holdfast.NodeName
	// Sets are those of every node: one that was re-onboarded has a new name.
	Sets func(ctx context.Context) ([]holdfast.Set, error)
	// Unseal opens sealed identities with the recovery key.
	Unseal func(sealed io.Reader, recipients []string) ([]byte, error)
	// Way says how the node of a set was started, and how it is started again.
	Way func(set holdfast.Set) (Way, error)
	// Opened is told that the key opened the set's identities; nil: nobody is.
	Opened func(ctx context.Context, set holdfast.Set) error
	Clear  Clear
	// Remember has the ledger say that the identities are in clear, where no look at the
	// place may do so.
	Remember bool
	Ledger   Ledger
	Now      func() time.Time
}

// Way is how a node is started from its identities.
type Way struct {
	PartyHint  string
	Identifier string // the participant identifier that it had; "" where that is unknown
	Directory  string // where its files were; "" where that is unknown
	// First is what is typed to start the node as a new participant, from a dump in
	// clear, and Later what is typed afterwards.
	First, Later func(dump string, s Start) string
}

// Start is what a node is started as, from its identities.
type Start struct {
	Node        holdfast.NodeName `json:"node"`
	Set         holdfast.SetID    `json:"set"`
	Identifier  string            `json:"identifier"`
	Participant string            `json:"participant"` // its id, which has the keys of the old one
	PartyHint   string            `json:"party_hint,omitempty"`
	// Databases are those that it begins with. Nil: it has those of the old one, which
	// are gone.
	Databases []Database `json:"databases,omitempty"`
	// Conflict says that the server has a database of another participant.
	Conflict bool `json:"conflict,omitempty"`
}

// Database is one that a program begins with, in place of the one that it had.
type Database struct {
	Kind holdfast.Kind `json:"kind"`
	Was  string        `json:"was"`
	Name string        `json:"name"` // the same, where nothing was in it
}

// Instructions are what is to be done next.
type Instructions struct {
	Set        holdfast.SetID `json:"set"`
	Dump       string         `json:"dump_in_clear"` // the node's private keys
	Identifier string         `json:"participant_identifier"`
	Directory  string         `json:"directory"` // where the bundle was
	First      string         `json:"first_start"`
	Later      string         `json:"later_starts"`
	Databases  []Database     `json:"databases,omitempty"`
	// Begun says that an earlier run has prepared all this.
	Begun bool `json:"begun,omitempty"`
	// Forgotten is why it is not remembered that the key opened the identities;
	// nil when it is.
	Forgotten error `json:"-"`
}

// Run puts the identities of a set in clear, and gives the new participant its
// identifier: the wanted one, or one that is made. What an earlier run has begun it
// takes up.
func (j Job) Run(
	ctx context.Context, set holdfast.Set, files holdfast.Files, wanted string,
) (Instructions, error) {
	if set.Identities == nil || set.Identities.SealedFile == "" {
		return Instructions{}, &holdfast.Problem{
			Class: holdfast.Refused, What: fmt.Sprintf("set %s does not have the identities", set.ID),
			Do: "Choose another set: `holdfast list`.",
		}
	}
	way, err := j.Way(set)
	if err != nil {
		return Instructions{}, err
	}
	begun, err := j.Clear.Begun(ctx)
	if err != nil {
		return Instructions{}, err
	}
	var s Start
	if begun != nil {
		s, err = *begun, j.same(*begun, set.ID, wanted)
	} else {
		s, err = j.prepare(ctx, set, files, way, wanted)
	}
	if err != nil {
		return Instructions{}, err
	}
	if err := j.note(ctx, s, begun != nil); err != nil {
		return Instructions{}, err
	}
	place := j.Clear.Place()
	out := Instructions{
		Set: s.Set, Dump: place, Identifier: s.Identifier, Directory: way.Directory, Databases: s.Databases,
		First: way.First(place, s), Later: way.Later(place, s), Begun: begun != nil,
	}
	if j.Opened != nil && begun == nil {
		out.Forgotten = j.Opened(ctx, set)
	}
	return out, nil
}

// prepare puts the identities in clear for a new start.
func (j Job) prepare(
	ctx context.Context, set holdfast.Set, files holdfast.Files, way Way, wanted string,
) (Start, error) {
	used, err := j.used(ctx)
	if err != nil {
		return Start{}, err
	}
	name, namespace, _ := strings.Cut(strings.TrimPrefix(set.Identities.ID, "PAR::"), "::")
	identifier, err := choose(wanted, cmp.Or(way.PartyHint, name), used, j.Now())
	if err != nil {
		return Start{}, err
	}
	s, err := j.Clear.Prepare(ctx, Start{
		Node: j.Node, Set: set.ID, Identifier: identifier, Participant: identifier + "::" + namespace,
		PartyHint: way.PartyHint,
	})
	if err != nil {
		return s, err
	}
	return s, j.unseal(ctx, set, files, s)
}

// same makes sure that what was begun is what is wanted.
func (j Job) same(s Start, set holdfast.SetID, wanted string) error {
	if s.Node == j.Node && s.Set == set && (wanted == "" || wanted == s.Identifier) {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What: fmt.Sprintf("node %s is already being made again from the identities of set %s, as participant %s",
			s.Node, s.Set, s.Identifier),
		Why: "One attempt has to end before another one begins.",
		Do:  fmt.Sprintf("Go on with it: `holdfast reonboard %s`. Or give it up: `holdfast reonboard clean`.", s.Set),
	}
}

// note remembers the identifier. Where that fails, the identities of a new start are
// not left in clear.
func (j Job) note(ctx context.Context, s Start, begun bool) error {
	u := Used{Identifier: s.Identifier, At: j.Now().UTC()}
	if j.Remember {
		u.Clear = j.Clear.Place()
	}
	err := j.Ledger.Note(u)
	if err != nil && !begun {
		err = errors.Join(err, j.Clear.Remove(ctx))
	}
	return err
}

// Clean removes the identities in clear.
func (j Job) Clean(ctx context.Context) error {
	if err := j.Clear.Remove(ctx); err != nil {
		return err
	}
	return j.Ledger.Removed()
}

// unseal writes the identities of a set in clear.
func (j Job) unseal(ctx context.Context, set holdfast.Set, files holdfast.Files, s Start) error {
	in, err := files.Open(ctx, set.Identities.SealedFile)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	dump, err := j.Unseal(in, set.Identities.Recipients)
	if err != nil {
		return err
	}
	return j.Clear.Write(ctx, dump, s)
}

// used are the identifiers of the sets, and those in the ledger.
func (j Job) used(ctx context.Context) ([]string, error) {
	list, err := j.Ledger.Read()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, u := range list {
		out = append(out, u.Identifier)
	}
	sets, err := j.Sets(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		way, err := j.Way(s)
		if err != nil {
			return nil, err
		}
		if way.Identifier != "" {
			out = append(out, way.Identifier)
		}
		for _, c := range s.Parts() {
			if c.Facts.Participant != nil {
				identifier, _, _ := strings.Cut(c.Facts.Participant.ParticipantID, "::")
				out = append(out, identifier)
			}
		}
	}
	return out, nil
}
