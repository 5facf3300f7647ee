package bundle

import (
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func TestABundleComesUpAndWorks(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	began := time.Now()
	b := Up(t, Options{Project: DefaultProject, Migration: "4"})
	t.Log("up after", time.Since(began))
	id, err := b.Identity(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(id)
	if err := b.StartLoad(ctx, 50); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := b.StopLoad(ctx); err != nil {
		t.Fatal(err)
	}
	l, i, err := b.Progress(ctx)
	if _, err := b.Dump(ctx); err != nil {
		t.Error(err)
	}
	if err != nil || l != i || l == 0 {
		t.Errorf("the participant is at %d and the validator app at %d: %v", l, i, err)
	}
}
