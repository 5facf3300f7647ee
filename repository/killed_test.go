package repository_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
	"holdfast/internal/child"
	"holdfast/repository"
)

// copyStep is what a killed sender loses at most.
const copyStep = 2 << 20

// sender sends a repository to a copy, and says when some of it is stored there.
func sender(from, to string) error {
	ctx := context.Background()
	at, err := taken(from)
	if err != nil {
		return err
	}
	copied, err := taken(to)
	if err != nil {
		return err
	}
	repository.SetCopyCheckpoint(copyStep)
	r, err := repository.Open(ctx, at, holdfast.NewSecret(password), by(at))
	if err != nil {
		return err
	}
	defer func() { _ = r.Close(ctx) }()
	r.Events = func(e event.Event) {
		if _, ok := e.(repository.PiecesCopied); ok {
			fmt.Println("stored")
		}
	}
	_, err = r.CopyTo(ctx, copied, by(copied))
	return err
}

// A process that sends to a copy is killed, at the first word of what it has stored
// and at random times: what the copy lists comes back, and the next process sends
// only what is missing.
func TestAKilledSenderIsTakenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, s *site) {
		at := s.make1(t)
		to := second(s)
		contents := map[holdfast.SetID][]byte{}
		var want []holdfast.SetID
		for n := 1; n < 4; n++ {
			content := random(uint64(n), 8*copyStep) //nolint:gosec // small
			id := storeRows(t, open(t, at), n, content).ID
			contents[id], want = content, append(want, id)
		}
		const whole = 3 * 8 * copyStep
		killed := 0
		for n := 0; n < 6 && killed == n; n++ {
			p := child.Start(t, os.Stderr, "HOLDFAST_TEST_DIR="+hand(t, at), "HOLDFAST_TEST_COPY="+hand(t, to))
			if n%2 == 0 {
				p.Await(t, "stored")
			} else {
				time.Sleep(time.Duration(rand.IntN(1000)) * time.Millisecond) //nolint:gosec // no secret
			}
			_ = p.Process.Kill()
			if err := p.Wait(); err != nil {
				killed++
			}
			if !there(t, to) {
				continue // killed before the copy could be opened
			}
			for _, id := range ids(t, to) {
				readsWhole(t, to, id, contents[id])
			}
		}
		if killed == 0 {
			t.Fatal("no process was killed")
		}
		sent := send(t, at, to)
		if sent.Bytes > whole-copyStep/2 { // one piece may be larger than another
			t.Errorf("after %d kills %d of %d bytes were sent: nothing was taken up", killed, sent.Bytes, whole)
		}
		t.Logf("after %d kills %d of %d bytes were missing", killed, sent.Bytes, whole)
		if got := ids(t, to); !slices.Equal(got, want) {
			t.Errorf("the copy lists %v, want %v", got, want)
		}
		for id, content := range contents {
			readsWhole(t, to, id, content)
		}
		if _, i := inspected(t, to); len(i.Damages()) > 0 {
			t.Errorf("the copy: %v", i.Damages())
		}
	})
}
