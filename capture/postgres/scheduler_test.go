package postgres

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// walk takes and ends tasks one by one with a number of hands, each holding a
// task for as many rounds as it weighs, and writes down what happens.
func walk(a *scheduler, hands int) string {
	type held struct {
		c    *tableTasks
		t    task
		left int64
	}
	var busy []held
	var log []string
	for {
		for len(busy) < hands && a.some() {
			c, t, _, ok := a.take()
			if !ok {
				break
			}
			busy = append(busy, held{c, t, t.weight})
		}
		if len(busy) == 0 {
			return strings.Join(log, " ")
		}
		var names []string
		for i := range busy {
			names = append(names, busy[i].t.name)
			if busy[i].left--; busy[i].left == 0 {
				a.ended(busy[i].c, busy[i].t, false)
			}
		}
		busy = slices.DeleteFunc(busy, func(h held) bool { return h.left == 0 })
		log = append(log, strings.Join(names, "+"))
	}
}

// some reports whether a take would not wait.
func (a *scheduler) some() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.ContainsFunc(a.tables, func(c *tableTasks) bool { return c.next() >= 0 })
}

func TestScheduler(t *testing.T) {
	one := func(name string, weight int64) task { return task{name: name, weight: weight} }
	alone := func(name string, weight int64) task { return task{name: name, weight: weight, alone: true} }
	for _, c := range []struct {
		name  string
		hands int
		in    [][][]task
		want  string
	}{
		{"stages follow each other", 2, [][][]task{{
			{one("load", 1)},
			{one("index", 1), one("prove", 1)},
			{one("analyze", 1)},
		}}, "load index+prove analyze"},
		{"what is alone comes first, and alone", 2, [][][]task{{
			{one("load", 1)},
			{one("prove", 2), alone("key", 1)},
		}}, "load key prove prove"},
		{"the table with the most work left comes first", 1, [][][]task{
			{{one("a", 1)}},
			{{one("b", 2)}, {one("b2", 2)}},
		}, "b b b2 b2 a"},
		{"a table's indexes do not wait for another table's rows", 2, [][][]task{
			{{one("a", 1)}, {one("a2", 2)}},
			{{one("b", 3)}},
		}, "a+b b+a2 b+a2"},
		{"the other hand turns to another table while one is locked", 2, [][][]task{
			{{alone("key", 2), one("index", 3)}},
			{{one("b", 1)}},
		}, "key+b key index index index"},
		{"empty stages are passed over", 1, [][][]task{{{}, {one("a", 1)}, {}, {one("a2", 1)}}, {}}, "a a2"},
	} {
		if got := walk(newScheduler(c.in), c.hands); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAnAgendaEndsAtTheFirstFailure(t *testing.T) {
	failure := errors.New("no")
	var done sync.Map
	task1 := func(name string, err error) task {
		return task{name: name, weight: 1, do: func(*lease, int) error { done.Store(name, true); return err }}
	}
	a := newScheduler([][][]task{{{task1("bad", failure)}, {task1("never", nil)}}})
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() { errs <- a.run(nil) }()
	}
	var got error
	for range cap(errs) {
		select {
		case err := <-errs:
			got = errors.Join(got, err)
		case <-time.After(10 * time.Second):
			t.Fatal("a lane waits for ever")
		}
	}
	if _, ran := done.Load("never"); ran || !errors.Is(got, failure) {
		t.Errorf("%v, ran on: %t", got, ran)
	}
}

func TestAnAgendaTellsHowManyLanesAreIdle(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	var idle int
	a := newScheduler([][][]task{{
		{{name: "load", weight: 1, do: func(*lease, int) error { close(begun); <-release; return nil }}},
		{{name: "key", weight: 1, alone: true, do: func(_ *lease, n int) error { idle = n; return nil }}},
	}})
	var lanes sync.WaitGroup
	for range 3 {
		lanes.Go(func() { _ = a.run(nil) })
	}
	<-begun
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		a.mu.Lock()
		n := a.waiting
		a.mu.Unlock()
		if n == 2 || time.Now().After(deadline) {
			break
		}
	}
	close(release)
	lanes.Wait()
	if idle != 2 {
		t.Errorf("%d lanes idle, want 2", idle)
	}
}
