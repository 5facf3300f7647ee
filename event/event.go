// Package event is how jobs and adapters report what they are doing: as
// values that print themselves. A terminal, a log, a page and a metric are
// listeners of the same events.
//
// Each job and adapter has the types of its own events; a listener that needs
// more than a line of text switches on those types.
package event

import "fmt"

// Event is one thing that happened, or one report of progress. String is one
// line for people: present tense, no full stop.
type Event interface{ String() string }

// Listener receives events. Calls may come from several goroutines. A nil
// Listener is allowed everywhere, and ignores events.
type Listener func(Event)

// Report passes an event to the listener.
func (l Listener) Report(e Event) {
	if l != nil {
		l(e)
	}
}

// Bytes reports progress: Done of Total bytes of the work on Subject. It comes
// often.
type Bytes struct {
	Subject string // "capture participant"
	Done    int64
	Total   int64 // an estimate, 0 when unknown
}

func (b Bytes) String() string {
	if b.Total <= 0 {
		return fmt.Sprintf("%s: %d bytes", b.Subject, b.Done)
	}
	return fmt.Sprintf("%s: %d of %d bytes", b.Subject, b.Done, b.Total)
}
