// Package eventtest keeps the events that a test hears.
package eventtest

import (
	"fmt"
	"slices"
	"sync"

	"holdfast/event"
)

// Record is a listener that remembers everything but progress. The zero value
// is ready; it may hear from several goroutines.
type Record struct {
	mu    sync.Mutex
	heard []event.Event
}

// Hear is an event.Listener.
func (r *Record) Hear(e event.Event) {
	if _, ok := e.(event.Bytes); ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.heard = append(r.heard, e)
}

// All are the events so far, in order.
func (r *Record) All() []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.heard)
}

// Types are the types of the events so far: "backup.CaptureBegan".
func (r *Record) Types() []string {
	var types []string
	for _, e := range r.All() {
		types = append(types, fmt.Sprintf("%T", e))
	}
	return types
}

// Of are the events of one type so far, in order.
func Of[E event.Event](r *Record) []E {
	var list []E
	for _, e := range r.All() {
		if e, ok := e.(E); ok {
			list = append(list, e)
		}
	}
	return list
}
