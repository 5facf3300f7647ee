package watchdog_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/internal/watchdog"
)

// pair is a connection with a watchdog and its other end, over TCP.
func pair(t *testing.T, w watchdog.Watchdog) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	ours = w.Conn(dialled)
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
	return ours, theirs
}

const limit = 200 * time.Millisecond

func TestASilentPeerIsGivenUp(t *testing.T) {
	ours, _ := pair(t, watchdog.Watchdog{Limit: limit})
	began := time.Now()
	_, err := ours.Read(make([]byte, 1))
	if err == nil || !strings.Contains(err.Error(), "silent for 200ms: it sends nothing") {
		t.Fatalf("the read ended with %v", err)
	}
	if took := time.Since(began); took < limit || took > 10*limit {
		t.Errorf("it took %v", took)
	}
	began = time.Now()
	if _, again := ours.Read(make([]byte, 1)); !errors.Is(again, err) || time.Since(began) > limit/2 {
		t.Errorf("the next read ended with %v, after %v", again, time.Since(began))
	}
	if _, again := ours.Write([]byte("x")); !errors.Is(again, err) {
		t.Errorf("a write ended with %v", again)
	}
}

func TestAPeerThatTakesNothingIsGivenUp(t *testing.T) {
	ours, _ := pair(t, watchdog.Watchdog{Limit: limit})
	_, err := ours.Write(make([]byte, 64<<20))
	if err == nil || !strings.Contains(err.Error(), "silent for") {
		t.Fatalf("the write ended with %v", err)
	}
}

// A peer that is at work is waited for as long as it takes, and one that sends a
// byte now and then is not asked.
func TestAPeerAtWorkIsWaitedFor(t *testing.T) {
	var asked atomic.Int64
	ours, theirs := pair(t, watchdog.Watchdog{Limit: limit, AtWork: func(context.Context) error {
		asked.Add(1)
		return nil
	}})
	go func() {
		for range 8 {
			time.Sleep(limit / 4)
			_, _ = theirs.Write([]byte("x"))
		}
		time.Sleep(3 * limit)
		_, _ = theirs.Write([]byte("y"))
		_ = theirs.Close()
	}()
	if _, err := io.ReadFull(ours, make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	before := asked.Load()
	rest, err := io.ReadAll(ours)
	if err != nil || string(rest) != "y" {
		t.Errorf("read %q, %v", rest, err)
	}
	if asked.Load() == before {
		t.Error("nobody asked whether it is at work")
	}
}

// One bad answer may be bad luck: it is asked once more.
func TestOneDoubtIsNotEnough(t *testing.T) {
	var asked atomic.Int64
	ours, theirs := pair(t, watchdog.Watchdog{Limit: limit, AtWork: func(context.Context) error {
		if asked.Add(1) == 1 {
			return errors.New("no")
		}
		return nil
	}})
	go func() { time.Sleep(3 * limit); _, _ = theirs.Write([]byte("x")) }()
	if _, err := ours.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

// A deadline of whoever uses the connection holds, also while a question is
// under way that nobody answers.
func TestADeadlineHolds(t *testing.T) {
	asking := make(chan struct{}, 1)
	ours, _ := pair(t, watchdog.Watchdog{Limit: limit, AtWork: func(ctx context.Context) error {
		asking <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}})
	go func() {
		<-asking
		_ = ours.SetDeadline(time.Now())
	}()
	began := time.Now()
	_, err := ours.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the read ended with %v", err)
	}
	if took := time.Since(began); took > 10*limit {
		t.Errorf("it took %v", took)
	}
	if _, err := ours.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the next read ended with %v", err)
	}
}

func TestWhatDoesNotProgressIsGivenUp(t *testing.T) {
	var progress atomic.Int64
	ctx, stop := watchdog.Watchdog{
		Limit:   limit,
		Explain: func(cause error) error { return errors.Join(io.ErrNoProgress, cause) },
	}.Context(t.Context(), progress.Load)
	defer stop()
	for range 8 {
		time.Sleep(limit / 4)
		progress.Add(1)
	}
	if ctx.Err() != nil {
		t.Fatal("it was given up while it went on")
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), io.ErrNoProgress) {
		t.Errorf("the cause is %v", context.Cause(ctx))
	}
}
