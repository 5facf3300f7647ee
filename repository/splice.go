package repository

import (
	"context"
	"io"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"

	"holdfast"
)

// After returns what stores files that have parts of that set's files. A part is
// taken over as the pieces that it is stored in, so it costs an entry in the new
// file's index. The lease of the session protects the pieces as it does those
// that are found again by their contents.
func (s *Session) After(ctx context.Context, set holdfast.SetID) (holdfast.Splice, error) {
	e, err := s.r.Match(ctx, "", string(set))
	if err != nil {
		return nil, err
	}
	earlier, err := s.r.Load(ctx, e)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, name string, fill func(holdfast.Splicer) error) (holdfast.Artifact, error) {
		return s.Put(ctx, name, func(w io.Writer) error {
			to := w.(*counter) //nolint:forcetypeassert // Put makes it
			return fill(&splicer{counter: to, session: s, earlier: earlier})
		})
	}, nil
}

// splicer writes a file of rows.
type splicer struct {
	*counter
	session *Session
	earlier *Stored
	name    string // of the earlier file whose pieces are known
	pieces  []object.IndirectObjectEntry
}

// Take appends a range of an earlier file.
func (p *splicer) Take(ctx context.Context, name string, from, bytes int64) (bool, error) {
	to, ok := p.w.(*pieces)
	if !ok { // a file that is not of rows
		return false, nil
	}
	if p.name != name {
		entries, err := p.session.piecesOf(ctx, p.earlier.files[name])
		if err != nil {
			return false, nil //nolint:nilerr // what cannot be found is read from the database
		}
		p.name, p.pieces = name, entries
	}
	found, ok := tiling(p.pieces, from, bytes)
	if !ok || !p.session.has(ctx, found) {
		return false, ctx.Err()
	}
	p.n += bytes
	p.taken += bytes
	return true, to.take(found)
}

// piecesOf lists the pieces of a stored file.
func (s *Session) piecesOf(ctx context.Context, id object.ID) ([]object.IndirectObjectEntry, error) {
	index, several := id.IndexObjectID()
	direct, ok := s.r.rep.(repo.DirectRepository)
	if several && ok {
		return object.LoadIndexObject(ctx, withoutPrefetch{direct.ContentReader()}, index)
	}
	in, err := s.w.OpenObject(ctx, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	return []object.IndirectObjectEntry{{Length: in.Length(), Object: id}}, nil
}

// tiling are the pieces of a range that begins and ends where pieces do.
func tiling(pieces []object.IndirectObjectEntry, from, bytes int64) ([]object.IndirectObjectEntry, bool) {
	first := -1
	for i, e := range pieces {
		switch {
		case e.Start == from:
			first = i
		case first < 0 && e.Start > from:
			return nil, false
		}
		if end := e.Start + e.Length; first >= 0 && end >= from+bytes {
			return pieces[first : i+1], end == from+bytes
		}
	}
	return nil, false
}

// has says whether all pieces are stored. One that is marked, because nothing
// needed it or because it was found to be damaged, counts as missing.
func (s *Session) has(ctx context.Context, pieces []object.IndirectObjectEntry) bool {
	for _, e := range pieces {
		id, _, direct := e.Object.ContentID()
		if !direct {
			return false
		}
		info, err := s.w.ContentInfo(ctx, id)
		if err != nil || info.Deleted {
			return false
		}
	}
	return true
}
