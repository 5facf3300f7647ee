package reonboard

import (
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
	// Sets are those of every node: one that was re-onboarded has a new name.
	Sets func(ctx context.Context) ([]holdfast.Set, error)
	// Unseal opens sealed identities with the recovery key.
	Unseal func(sealed io.Reader, recipients []string) ([]byte, error)
	// Way says how the node of a set was started, and how it is started again.
	Way func(set holdfast.Set) (Way, error)
	// Opened is told that the key opened the set's identities; nil: nobody is.
	Opened func(ctx context.Context, set holdfast.Set) error
	Clear  ClearFile
	Ledger Ledger
	Now    func() time.Time
}

// Way is how a node is started from its identities.
type Way struct {
	PartyHint  string
	Identifier string // the participant identifier that it had; "" where that is unknown
	Directory  string // where its files were; "" where that is unknown
	// Line is what is typed to start the node as a new participant, from a dump
	// in clear or, with none, afterwards.
	Line func(dump, identifier string) string
}

// Instructions are what is to be done next.
type Instructions struct {
	Set        holdfast.SetID `json:"set"`
	Dump       string         `json:"dump_in_clear"` // the node's private keys
	Identifier string         `json:"participant_identifier"`
	Directory  string         `json:"directory"` // where the bundle was
	First      string         `json:"first_start"`
	Later      string         `json:"later_starts"`
	// Forgotten is why it is not remembered that the key opened the identities;
	// nil when it is.
	Forgotten error `json:"-"`
}

// Run puts the identities of a set in clear, and gives the new participant its
// identifier: the wanted one, or one that is made.
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
	used, err := j.used(ctx)
	if err != nil {
		return Instructions{}, err
	}
	identifier, err := choose(wanted, way.PartyHint, used, j.Now())
	if err != nil {
		return Instructions{}, err
	}
	if err := j.unseal(ctx, set, files); err != nil {
		return Instructions{}, err
	}
	if err := j.Ledger.Note(Used{Identifier: identifier, At: j.Now().UTC()}); err != nil {
		return Instructions{}, errors.Join(err, j.Clear.Remove())
	}
	out := Instructions{
		Set: set.ID, Dump: j.Clear.Path, Identifier: identifier, Directory: way.Directory,
		First: way.Line(j.Clear.Path, identifier), Later: way.Line("", identifier),
	}
	if j.Opened != nil {
		out.Forgotten = j.Opened(ctx, set)
	}
	return out, nil
}

// unseal writes the identities of a set in clear.
func (j Job) unseal(ctx context.Context, set holdfast.Set, files holdfast.Files) error {
	in, err := files.Open(ctx, set.Identities.SealedFile)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	dump, err := j.Unseal(in, set.Identities.Recipients)
	if err != nil {
		return err
	}
	return j.Clear.Write(dump)
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
