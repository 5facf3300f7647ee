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
	// StartLine is what is typed to start the node as a new participant, from a
	// dump in clear or, with none, afterwards.
	StartLine func(start holdfast.Start, dump, identifier string) string
	// Opened is told that the key opened the set's identities; nil: nobody is.
	Opened func(ctx context.Context, set holdfast.Set) error
	Clear  ClearFile
	Ledger Ledger
	Now    func() time.Time
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
	start, directory := startOf(set)
	used, err := j.used(ctx)
	if err != nil {
		return Instructions{}, err
	}
	identifier, err := choose(wanted, start.PartyHint, used, j.Now())
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
		Set: set.ID, Dump: j.Clear.Path, Identifier: identifier, Directory: directory,
		First: j.StartLine(start, j.Clear.Path, identifier), Later: j.StartLine(start, "", identifier),
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
		out = append(out, identifiersOf(s)...)
	}
	return out, nil
}

// identifiersOf are the participant identifiers that a set knows of.
func identifiersOf(s holdfast.Set) (out []string) {
	if s.Deployment != nil {
		out = append(out, s.Deployment.Start.Identifier)
	}
	for _, c := range s.Captures {
		if c.Facts.Participant != nil {
			identifier, _, _ := strings.Cut(c.Facts.Participant.ParticipantID, "::")
			out = append(out, identifier)
		}
	}
	return out
}

// startOf are the flags that the set's node was started with. Of a node that
// was given by connection strings the validator's party tells the party hint;
// what else has to be filled in is in capitals.
func startOf(set holdfast.Set) (start holdfast.Start, directory string) {
	if set.Deployment != nil {
		return set.Deployment.Start, set.Deployment.Directory
	}
	start = holdfast.Start{PartyHint: "PARTY_HINT", Sponsor: "SPONSOR_SV_URL"}
	for _, c := range set.Captures {
		f := c.Facts.Validator
		if f == nil {
			continue
		}
		for _, store := range f.Stores {
			if hint, _, found := strings.Cut(store.Party, "::"); found && store.Name == "DbValidatorStore" {
				start.PartyHint = hint
			}
		}
	}
	return start, ""
}
