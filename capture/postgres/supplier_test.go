package postgres

import (
	"errors"
	"io"
	"testing"
	"time"
)

// slow is a reader of which one read takes until it is let go on.
type slow struct {
	begun, done chan struct{}
	finished    bool // without a lock: whoever looks has to be sure that it is over
}

func (s *slow) Read([]byte) (int, error) {
	close(s.begun)
	<-s.done
	s.finished = true
	return 0, errors.New("the disk is gone")
}

// A COPY that failed may still be read for by a goroutine of the library: what
// it reads from is closed only when that is over.
func TestASupplierEndsWhenNobodyReads(t *testing.T) {
	in := &slow{begun: make(chan struct{}), done: make(chan struct{})}
	s := &supplier{from: in}
	go func() { _, _ = s.Read(nil) }()
	<-in.begun
	time.AfterFunc(20*time.Millisecond, func() { close(in.done) })
	if err := s.end(); err == nil || !in.finished {
		t.Errorf("it ended with %v, the read was over: %v", err, in.finished)
	}
	if _, err := s.Read(nil); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("a read after the end: %v", err)
	}
}
