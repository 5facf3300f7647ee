package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"holdfast"
	"holdfast/identities"
	"holdfast/node/compose"
	"holdfast/repository"
	"holdfast/setup"
)

// reonboarding is what a way back from the identities needs next.
type reonboarding struct {
	Set        holdfast.SetID `json:"set"`
	Dump       string         `json:"dump_in_clear"` // the node's private keys
	Identifier string         `json:"participant_identifier"`
	Directory  string         `json:"directory"` // where the bundle was
	First      string         `json:"first_start"`
	Later      string         `json:"later_starts"`
}

// clearFile is where the dump is put in clear for start.sh -i.
func clearFile(p setup.Parts) string {
	return filepath.Join(p.Dir(), p.Config.Node+".identities.clear.json")
}

func usedIdentifiers(p setup.Parts) string {
	return filepath.Join(p.Dir(), p.Config.Node+".identifiers.json")
}

// routeTwo prepares a node's way back from its identities, or tidies up after.
func (a *app) routeTwo(ctx context.Context, args []string, f restoreFlags) error {
	if !f.fromIdentities {
		return usageError(nil, errors.New("--remove goes with --from-identities"))
	}
	if f.remove {
		p, err := a.load()
		if err != nil {
			return err
		}
		if err := removeClear(p); err != nil {
			return err
		}
		return a.result("dropped", []string{clearFile(p)}, func() { a.printf("removed %s\n", clearFile(p)) })
	}
	id := "latest"
	if len(args) == 1 {
		id = args[0]
	}
	return a.reonboard(ctx, id, f)
}

// reonboard prepares route two: the dump in clear where start.sh -i takes it,
// an identifier that was never used, and the line to type.
func (a *app) reonboard(ctx context.Context, id string, f restoreFlags) error {
	if f.keyFile == "" {
		return usageError(nil, errors.New("--from-identities: --key-file is missing: the recovery key opens the identities"))
	}
	text, err := a.readFile(f.keyFile)
	if err != nil {
		return err
	}
	keys, err := identities.ParseKeys(holdfast.NewSecret(string(text)))
	if err != nil {
		return err
	}
	return a.withRepository(ctx, func(p setup.Parts, r *repository.Repository) error {
		set, files, err := find(ctx, r, holdfast.NodeName(p.Node), id)
		if err != nil {
			return err
		}
		if set.Identities == nil || set.Identities.SealedFile == "" {
			return &holdfast.Problem{Class: holdfast.Refused, What: fmt.Sprintf("set %s does not have the identities", set.ID), Do: "Choose another set: `holdfast list`."}
		}
		start, directory := startOf(set)
		used, err := identifiersUsed(ctx, p, r)
		if err != nil {
			return err
		}
		identifier, err := compose.ChooseIdentifier(f.identifier, start.PartyHint, used, time.Now())
		if err != nil {
			return err
		}
		in, err := files.Open(ctx, set.Identities.SealedFile)
		if err != nil {
			return err
		}
		defer func() { _ = in.Close() }()
		clear, err := identities.Open(in, keys, set.Identities.Recipients)
		if err != nil {
			return err
		}
		if err := writeClear(p, clear); err != nil {
			return err
		}
		if err := compose.NoteUsed(usedIdentifiers(p), compose.Used{Identifier: identifier, At: time.Now().UTC()}); err != nil {
			return errors.Join(err, os.Remove(clearFile(p)))
		}
		a.rememberKeyTest(ctx, r, set)
		out := reonboarding{Set: set.ID, Dump: clearFile(p), Identifier: identifier, Directory: directory,
			First: compose.StartLine(start, clearFile(p), identifier), Later: compose.StartLine(start, "", identifier)}
		return a.result("reonboarding", out, func() { a.printReonboarding(out) })
	})
}

// startOf are the flags that the set's node was started with. Of a node that
// was given by connection strings the party hint is told by its validator's
// party; what else has to be filled in is in capitals.
func startOf(set holdfast.Set) (start holdfast.Start, directory string) {
	if set.Deployment != nil {
		return set.Deployment.Start, set.Deployment.Directory
	}
	start = holdfast.Start{PartyHint: "PARTY_HINT", Sponsor: "SPONSOR_SV_URL"}
	for _, c := range set.Captures {
		if f := c.Facts.Validator; f != nil {
			for _, store := range f.Stores {
				if hint, _, found := strings.Cut(store.Party, "::"); found && store.Name == "DbValidatorStore" {
					start.PartyHint = hint
				}
			}
		}
	}
	return start, ""
}

// identifiersUsed are those of the sets, and those in the ledger.
func identifiersUsed(ctx context.Context, p setup.Parts, r *repository.Repository) ([]string, error) {
	list, err := compose.ReadUsed(usedIdentifiers(p))
	if err != nil {
		return nil, err
	}
	var used []string
	for _, u := range list {
		used = append(used, u.Identifier)
	}
	sets, err := r.Manifests(ctx, "") // of every node: one that was re-onboarded has a new name
	if err != nil {
		return nil, err
	}
	for _, s := range sets {
		if d := s.Set.Deployment; d != nil {
			used = append(used, d.Start.Identifier)
		}
		for _, c := range s.Set.Captures {
			if c.Facts.Participant != nil {
				identifier, _, _ := strings.Cut(c.Facts.Participant.ParticipantID, "::")
				used = append(used, identifier)
			}
		}
	}
	return used, nil
}

// writeClear puts the dump where only its owner can read it, until the bundle
// gives it to its own user (Splice: chown-participant-bootstrapping-dump).
func writeClear(p setup.Parts, dump []byte) error {
	if err := removeClear(p); err != nil {
		return err
	}
	return writeSecret(clearFile(p), string(dump))
}

// removeClear overwrites and removes the dump in clear, if there is one.
func removeClear(p setup.Parts) error {
	info, err := os.Lstat(clearFile(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.WriteFile(clearFile(p), make([]byte, info.Size()), 0o600)
	}
	return errors.Join(err, os.Remove(clearFile(p)))
}

func (a *app) printReonboarding(r reonboarding) {
	a.printf("The identities of set %s are in clear in %s: the node's private keys.\n", r.Set, r.Dump)
	a.printf("The new participant is called %s; that name is noted as used.\n\n", r.Identifier)
	a.printf("1. Make sure that the old node is gone for good, and that the bundle's database volume is empty.\n")
	if r.Directory != "" {
		a.printf("2. In the bundle's directory (it was %s):\n\n  %s\n\n", r.Directory, r.First)
	} else {
		a.printf("2. In the bundle's directory, with -m and -a as the old node had them:\n\n  %s\n\n", r.First)
	}
	a.printf("3. When it is ready: holdfast restore --from-identities --remove\n")
	a.printf("4. Every later start:\n\n  %s\n\n", r.Later)
	a.printf("5. Give the node a new name in holdfast.yaml (node:): it is another participant now.\n")
}
