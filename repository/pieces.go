package repository

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"github.com/kopia/kopia/repo"
	"github.com/kopia/kopia/repo/object"
)

// Rows of tables are stored in pieces. The writer ends a piece (Divide) behind
// rows that it chooses by their contents. So a row that is inserted or deleted
// in the middle of a range of blocks changes one piece, and later pieces are
// reused. A rolling hash over all bytes would do the same, but costs more than
// all other work on a byte; pieces of fixed size would cost nothing, but all
// pieces after such a row would change. docs/decisions/ has the measurements.
//
// The result is what kopia itself writes for a large file: an index of pieces.
const (
	pieceMost    = 2 << 20 // the largest piece
	pieceWriters = 2       // pieces of one file being stored while the next is filled
	pieceWhole   = "FIXED-8M"
	indexPrefix  = "x"
	indexStream  = "kopia:indirect"
)

// pieces writes one file of rows.
type pieces struct {
	ctx     context.Context //nolint:containedctx // an io.Writer has no other way to it
	w       repo.RepositoryWriter
	name    string
	buffers *sync.Pool // of *[]byte with pieceMost bytes of room

	piece *[]byte
	at    int64
	slots chan struct{}
	wg    sync.WaitGroup

	mu    sync.Mutex
	index []object.IndirectObjectEntry
	err   error
}

func (p *pieces) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 {
		if p.piece == nil {
			if err := p.failed(); err != nil {
				return written, err
			}
			p.piece = p.buffers.Get().(*[]byte) //nolint:forcetypeassert // nothing else is in it
		}
		n := min(len(b), pieceMost-len(*p.piece))
		*p.piece = append(*p.piece, b[:n]...)
		written, b = written+n, b[n:]
		if len(*p.piece) == pieceMost {
			p.Divide()
		}
	}
	return written, nil
}

// Divide ends the current piece. A later Write or Result returns the error of
// storing it.
func (p *pieces) Divide() {
	if p.piece == nil {
		return
	}
	piece := p.piece
	p.piece = nil
	p.mu.Lock()
	n := len(p.index)
	p.index = append(p.index, object.IndirectObjectEntry{Start: p.at, Length: int64(len(*piece))})
	p.mu.Unlock()
	p.at += int64(len(*piece))
	p.slots <- struct{}{}
	p.wg.Go(func() {
		id, err := p.store(*piece)
		*piece = (*piece)[:0]
		p.buffers.Put(piece)
		p.mu.Lock()
		p.index[n].Object = id
		if p.err == nil {
			p.err = err
		}
		p.mu.Unlock()
		<-p.slots
	})
}

// take appends pieces that are stored already.
func (p *pieces) take(stored []object.IndirectObjectEntry) error {
	p.Divide()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range stored {
		e.Start = p.at
		p.index = append(p.index, e)
		p.at += e.Length
	}
	return p.err
}

func (p *pieces) store(b []byte) (object.ID, error) {
	w := p.w.NewObjectWriter(p.ctx, object.WriterOptions{
		Description:        p.name,
		Compressor:         rowCompressor,
		MetadataCompressor: otherCompressor,
		Splitter:           pieceWhole,
	})
	defer func() { _ = w.Close() }()
	if _, err := w.Write(b); err != nil {
		return object.EmptyID, err
	}
	return w.Result()
}

func (p *pieces) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Result waits for every piece and stores the index.
func (p *pieces) Result() (object.ID, error) {
	p.Divide()
	p.wg.Wait()
	if err := p.failed(); err != nil {
		return object.EmptyID, err
	}
	switch len(p.index) {
	case 0:
		return p.store(nil)
	case 1:
		return p.index[0].Object, nil
	}
	w := p.w.NewObjectWriter(p.ctx, object.WriterOptions{
		Description:        "LIST(" + p.name + ")",
		Prefix:             indexPrefix,
		Compressor:         otherCompressor,
		MetadataCompressor: otherCompressor,
	})
	defer func() { _ = w.Close() }()
	if err := json.NewEncoder(w).Encode(struct {
		Stream  string                       `json:"stream"`
		Entries []object.IndirectObjectEntry `json:"entries"`
	}{indexStream, p.index}); err != nil {
		return object.EmptyID, err
	}
	id, err := w.Result()
	if err != nil {
		return object.EmptyID, err
	}
	return object.ParseID("I" + id.String())
}

// Close waits for pieces being stored; it stores nothing.
func (p *pieces) Close() error {
	p.wg.Wait()
	return nil
}

// storing is a writer that stores a file.
type storing interface {
	io.WriteCloser
	Result() (object.ID, error)
}
