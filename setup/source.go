package setup

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"holdfast"
	"holdfast/config"
	"holdfast/place"
	"holdfast/record"
	"holdfast/repository"
)

// Source is a set, and the repository that it is read from: the configured one,
// or a copy of it where that does not give the set.
type Source struct {
	Repository *repository.Repository
	Set        holdfast.Set
	// Files are the set's. Where the repository does not give one, or ends in the
	// middle of it, it is read on from a copy.
	Files holdfast.Files
	// FromCopy says that the repository that it is read from is a copy.
	FromCopy bool
}

// ReadFromCopy is the event of sets, a set, or a file of one, that the repository
// does not give.
type ReadFromCopy struct {
	Repository, Copy string
	Cause            error
}

func (e ReadFromCopy) String() string {
	return fmt.Sprintf("the repository in %s fails (%v); reading its copy in %s",
		e.Repository, e.Cause, e.Copy)
}

// CopyUnread is the event of a copy that does not give them either.
type CopyUnread struct {
	Copy  string
	Cause error
}

func (e CopyUnread) String() string {
	return fmt.Sprintf("its copy in %s fails as well: %v", e.Copy, e.Cause)
}

// Source is the set that a command reads: an ID, its beginning, or "latest". The
// error is the repository's where no copy has the set either.
func (p *Parts) Source(ctx context.Context, id string) (Source, error) {
	r, err := p.Repository(ctx)
	if err == nil {
		var set holdfast.Set
		var files holdfast.Files
		if set, files, err = p.findIn(ctx, r, id); err == nil {
			return Source{Repository: r, Set: set, Files: p.continued(ctx, set, files)}, nil
		}
	}
	second, ok := p.fromCopies(ctx, id, err)
	if !ok {
		return Source{}, err
	}
	return second, nil
}

// Sets are the sets of a node, or of every node for "", with what retention makes
// of them and the copies that they were sent to. Of a repository that fails they
// are those of the first copy that does not, and neither is known.
func (p *Parts) Sets(ctx context.Context, node holdfast.NodeName) ([]repository.Entry, error) {
	entries, cause := p.ownSets(ctx, node)
	if cause == nil {
		return entries, nil
	}
	for _, second := range p.copies() {
		if ctx.Err() != nil {
			break
		}
		r, err := p.openCopy(ctx, second)
		if err == nil {
			entries, err = r.Sets(ctx, node)
		}
		if err == nil {
			p.Events.Report(ReadFromCopy{p.Config.Repository.Place.String(), second.Place.String(), cause})
			return entries, nil
		}
		p.Events.Report(CopyUnread{second.Place.String(), err})
	}
	return nil, cause
}

func (p *Parts) ownSets(ctx context.Context, node holdfast.NodeName) ([]repository.Entry, error) {
	r, err := p.still(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := p.listed(ctx, r, node)
	if err != nil {
		return nil, err
	}
	return entries, p.fates(ctx, r, entries)
}

// listed are the sets with what a listing says of each beyond its summary: the
// commands and the page show the same.
func (p *Parts) listed(
	ctx context.Context, r *repository.Repository, node holdfast.NodeName,
) ([]repository.Entry, error) {
	entries, err := r.Sets(ctx, node)
	if err != nil {
		return nil, err
	}
	if err := p.markCopies(ctx, r, entries); err != nil {
		return nil, err
	}
	return entries, markDoubts(ctx, r, node, entries)
}

// markDoubts says of each set which rows it may have wrong, and whether its date is
// to be trusted.
func markDoubts(ctx context.Context, r *repository.Repository, node holdfast.NodeName, entries []repository.Entry) error {
	disproofs, err := r.Disproofs(ctx, node)
	now := time.Now()
	for i := range entries {
		e := &entries[i]
		e.InDoubt = doubts(disproofs, e.Node, e.Began)
		if why := record.Misdated(e.Ended, e.Stored, now); why != "" {
			e.InDoubt = append(e.InDoubt, why)
		}
	}
	return err
}

func doubts(disproofs []record.Disproof, node holdfast.NodeName, began time.Time) []string {
	var out []string
	for _, d := range disproofs {
		if d.Doubts(node, began) {
			out = append(out, d.String())
		}
	}
	return out
}

// Doubts says which rows a set may have wrong, because they changed unseen, and
// that it is dated in the future.
func (s Source) Doubts(ctx context.Context) ([]string, error) {
	disproofs, err := s.Repository.Disproofs(ctx, s.Set.Node.Name)
	list := doubts(disproofs, s.Set.Node.Name, s.Set.Began.Wall)
	if why := record.Misdated(s.Set.Ended.Wall, time.Time{}, time.Now()); why != "" {
		list = append(list, why)
	}
	return list, err
}

// KnownDoubts is Doubts for a restore, which goes on where they cannot be read: it
// says so instead.
func (s Source) KnownDoubts(ctx context.Context) []string {
	list, err := s.Doubts(ctx)
	if err != nil {
		list = append(list, "whether it has is unknown, because the records of that cannot be read: "+err.Error())
	}
	return list
}

// KnownDrills are the drills of the node's sets, for how long a restore takes. Nobody
// is kept from a restore or a drill because they cannot be read: it is said instead.
func (p *Parts) KnownDrills(ctx context.Context, from Source) []record.Drill {
	list, err := from.Repository.Drills(ctx, from.Set.Node.Name)
	if err != nil {
		p.Events.Report(NoEstimate{err})
	}
	return list
}

// NoEstimate is the event of drills that cannot be read.
type NoEstimate struct{ Cause error }

func (e NoEstimate) String() string {
	return fmt.Sprintf("how long it takes is unknown, because the records of drills cannot be read: %v", e.Cause)
}

// fromCopies finds a set in the first copy that has it.
func (p *Parts) fromCopies(ctx context.Context, id string, cause error) (Source, bool) {
	for _, second := range p.copies() {
		if ctx.Err() != nil {
			break
		}
		found, err := p.findInCopy(ctx, second, id)
		if err == nil {
			p.Events.Report(ReadFromCopy{p.Config.Repository.Place.String(), second.Place.String(), cause})
			return found, true
		}
		p.Events.Report(CopyUnread{second.Place.String(), err})
	}
	return Source{}, false
}

func (p *Parts) findInCopy(ctx context.Context, second config.Copy, id string) (Source, error) {
	r, err := p.openCopy(ctx, second)
	if err != nil {
		return Source{}, err
	}
	set, files, err := p.findIn(ctx, r, id)
	return Source{r, set, files, true}, err
}

// openCopy opens a copy, which stays open until the parts are closed.
func (p *Parts) openCopy(ctx context.Context, second config.Copy) (*repository.Repository, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.opened[second.Place]; r != nil {
		return r, nil
	}
	password, err := p.Password(ctx)
	if err != nil {
		return nil, err
	}
	options, err := p.copyOptions(second)
	if err != nil {
		return nil, err
	}
	r, err := repository.Open(ctx, second.Place, password, options...)
	if err != nil {
		return nil, err
	}
	r.Events, r.Hide = p.Events, p.Secrets.HideJSON
	if p.opened == nil {
		p.opened = map[place.Place]*repository.Repository{}
	}
	p.opened[second.Place] = r
	return r, nil
}

// readCopy is a copy that a set was read from; nil without one.
func (p *Parts) readCopy() *repository.Repository {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, second := range p.copies() {
		if r := p.opened[second.Place]; r != nil {
			return r
		}
	}
	return nil
}

// copies are the second copies that the configuration knows.
func (p *Parts) copies() []config.Copy {
	list := p.Config.Copies
	at := p.Config.Check.SecondCopy
	if at.IsZero() {
		return list
	}
	for _, c := range list {
		if place.Share(c.Place, at) == place.Itself {
			return list
		}
	}
	return append(list[:len(list):len(list)], config.Copy{Place: at})
}

// continued are the files of a set that are read on from a copy.
func (p *Parts) continued(ctx context.Context, set holdfast.Set, files holdfast.Files) holdfast.Files {
	if len(p.copies()) == 0 {
		return files
	}
	var once sync.Once
	var second Source
	var ok bool
	return continued{files, func(cause error) (holdfast.Files, bool) {
		once.Do(func() { second, ok = p.fromCopies(ctx, string(set.ID), cause) })
		return second.Files, ok
	}}
}

// continued are files with others of the same content to fall back on.
type continued struct {
	files holdfast.Files
	other func(cause error) (holdfast.Files, bool)
}

// Open implements holdfast.Files.
func (c continued) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	file, err := c.files.Open(ctx, name)
	if err == nil {
		return &continuedFile{ReadCloser: file, from: c, ctx: ctx, name: name}, nil
	}
	if other, ok := c.others(ctx, err); ok {
		return other.Open(ctx, name)
	}
	return nil, err
}

// others are the files to fall back on, unless it was us who ended.
func (c continued) others(ctx context.Context, cause error) (holdfast.Files, bool) {
	if ctx.Err() != nil {
		return nil, false
	}
	return c.other(cause)
}

// continuedFile counts what was read, so that the other file is read from there.
type continuedFile struct {
	io.ReadCloser
	from     continued
	ctx      context.Context //nolint:containedctx // of the Open that this file is of
	name     string
	at       int64
	switched bool
}

// Read implements io.Reader.
func (f *continuedFile) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	f.at += int64(n)
	if err == nil || err == io.EOF || f.switched { //nolint:errorlint // a reader's EOF is bare
		return n, err
	}
	if failed := f.change(err); failed != nil {
		return n, failed
	}
	return n, nil
}

// change goes on in the other file where this one ends.
func (f *continuedFile) change(cause error) error {
	others, ok := f.from.others(f.ctx, cause)
	if !ok {
		return cause
	}
	other, err := others.Open(f.ctx, f.name)
	if err != nil {
		return cause
	}
	if _, err := io.CopyN(io.Discard, other, f.at); err != nil {
		_ = other.Close()
		return cause
	}
	_ = f.ReadCloser.Close()
	f.ReadCloser, f.switched = other, true
	return nil
}
