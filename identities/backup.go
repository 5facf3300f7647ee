package identities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"holdfast"
	"holdfast/event"
)

// Backup takes a node's identities for a set, and keeps them in places of the
// operator's choice as well.
type Backup struct {
	Fetch      func(ctx context.Context) ([]byte, error) // Fetcher.Fetch, usually
	Recipients []Recipient
	Keepers    []Keeper
	InClear    []Keeper // get the dump unsealed, by the operator's explicit word
	Events     event.Listener
}

// sealedFile is the dump's name within a set.
const sealedFile = "identities/participant.json.age"

// Take fetches the dump, checks it, and puts it sealed into out. When neither
// the content nor the recipients changed since the last set, that set's sealed
// file is put again, so that it is stored once. The function it returns
// compares the dump with the participant's database and gives what the
// manifest records.
//
// When no dump is to be had, or it is not kept everywhere it should be, the
// error says so; the function then describes the dump there is, which may be
// carried over from the last set, or is nil.
func (b Backup) Take(ctx context.Context, last *holdfast.IdentityFacts, files holdfast.Files, out holdfast.Sink) (func(*holdfast.ParticipantFacts) holdfast.IdentityFacts, error) {
	data, err := b.Fetch(ctx)
	var dump *Dump
	if err == nil {
		dump, err = Parse(data)
	}
	if err != nil {
		check, carryErr := b.carryOver(ctx, last, files, out)
		return check, errors.Join(err, carryErr)
	}
	content := dump.Content()
	sealed, err := b.sealed(ctx, data, content, last, files)
	if err != nil {
		return nil, err
	}
	if err := put(ctx, out, sealed); err != nil {
		return nil, err
	}
	kept, err := b.keep(ctx, dump, data, sealed)
	return func(p *holdfast.ParticipantFacts) holdfast.IdentityFacts {
		facts := dump.Facts(dump.Check(ParticipantOf(p)))
		facts.SealedFile, facts.Recipients, facts.Kept = sealedFile, b.recipients(), kept
		return facts
	}, err
}

// Keep seals a dump that was judged into every place, and says what there is of
// it. A place that fails keeps no other from getting it.
func (b Backup) Keep(ctx context.Context, dump *Dump, data []byte, judged Report) (holdfast.IdentityFacts, error) {
	var sealed bytes.Buffer
	if err := Seal(&sealed, data, b.Recipients); err != nil {
		return holdfast.IdentityFacts{}, err
	}
	facts := dump.Facts(judged)
	facts.Recipients = b.recipients()
	var err error
	facts.Kept, err = b.keep(ctx, dump, data, sealed.Bytes())
	return facts, err
}

func (b Backup) recipients() []string {
	var texts []string
	for _, r := range b.Recipients {
		texts = append(texts, r.String())
	}
	return texts
}

// sealed is the last set's sealed file if it holds the same for the same
// recipients, else a new one.
func (b Backup) sealed(ctx context.Context, data []byte, content string, last *holdfast.IdentityFacts, files holdfast.Files) ([]byte, error) {
	if last != nil && last.SealedFile != "" && last.Content == content && slices.Equal(last.Recipients, b.recipients()) {
		if old, err := fromSet(ctx, files, last.SealedFile); err == nil {
			return old, nil
		}
	}
	var fresh bytes.Buffer
	if err := Seal(&fresh, data, b.Recipients); err != nil {
		return nil, err
	}
	return fresh.Bytes(), nil
}

// carryOver puts the last set's dump into this one.
func (b Backup) carryOver(ctx context.Context, last *holdfast.IdentityFacts, files holdfast.Files, out holdfast.Sink) (func(*holdfast.ParticipantFacts) holdfast.IdentityFacts, error) {
	if last == nil || last.SealedFile == "" {
		return nil, nil
	}
	old, err := fromSet(ctx, files, last.SealedFile)
	if err == nil {
		err = put(ctx, out, old)
	}
	if err != nil {
		return nil, fmt.Errorf("the identities of the last set could not be carried over: %w", err)
	}
	b.Events.Report(DumpCarriedOver{Participant: last.ID})
	facts := *last
	facts.SealedFile = sealedFile
	return func(*holdfast.ParticipantFacts) holdfast.IdentityFacts { return facts }, nil
}

// keep hands the dump to every keeper and says where it is.
func (b Backup) keep(ctx context.Context, dump *Dump, clear, sealed []byte) ([]string, error) {
	var kept []string
	var failed error
	hand := func(keeper Keeper, name string, content []byte, mark string) {
		file, written, err := keeper.Keep(ctx, name, content)
		if err != nil {
			failed = errors.Join(failed, err)
			return
		}
		if written {
			b.Events.Report(DumpKept{Where: file.Where + mark})
		}
		kept = append(kept, file.Where+mark)
	}
	for _, keeper := range b.Keepers {
		hand(keeper, FileName(dump.ID, dump.Content(), b.Recipients), sealed, "")
	}
	for _, keeper := range b.InClear {
		hand(keeper, ClearName(dump.ID, dump.Content()), clear, ", in clear")
	}
	return kept, failed
}

func put(ctx context.Context, out holdfast.Sink, sealed []byte) error {
	_, err := out.Put(ctx, sealedFile, func(w io.Writer) error {
		_, err := w.Write(sealed)
		return err
	})
	return err
}

func fromSet(ctx context.Context, files holdfast.Files, name string) ([]byte, error) {
	in, err := files.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return io.ReadAll(io.LimitReader(in, 256<<20))
}
