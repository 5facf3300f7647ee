package journal

import (
	"encoding/json"
	"fmt"

	"holdfast"
	"holdfast/step"
)

// Elsewhere is a journal whose text is kept where no directory can be written to.
type Elsewhere struct {
	Place string // for people
	// Load returns the text that was stored last; nil where there is none.
	Load func() ([]byte, error)
	// Store has the text kept when it returns, whole or not at all; nil forgets it.
	Store func(text []byte) error
	// Hide takes what is secret out of the journal; nil: nothing is.
	Hide func(text []byte) []byte
}

// Lock keeps nobody out: the locks of the databases do.
func (Elsewhere) Lock() (unlock func(), err error) { return func() {}, nil }

// Read returns what an unfinished run has left; an empty log where there is none.
func (e Elsewhere) Read() (log step.Log, err error) {
	text, err := e.Load()
	if err != nil || len(text) == 0 {
		return step.Log{}, err
	}
	if err := json.Unmarshal(text, &log); err != nil {
		return step.Log{}, unreadable(e.Place, err)
	}
	return log, known(e.Place, log)
}

// Write has the log kept when it returns.
func (e Elsewhere) Write(log step.Log) error {
	text, err := json.Marshal(log)
	if err != nil {
		return err
	}
	if e.Hide != nil {
		text = e.Hide(text)
	}
	return e.Store(text)
}

// End forgets the log: nothing is left to be taken back.
func (e Elsewhere) End() error { return e.Store(nil) }

func unreadable(place string, err error) error {
	return &holdfast.Problem{
		Class: holdfast.Refused, What: "read the journal of an interrupted restore, " + place, Err: err,
		Why: "It says which programs ran and how.",
		Do: "Correct or move it away; then restart policies have to be set by hand, `docker update --restart always " +
			"CONTAINER`, or replicas: `kubectl scale`.",
	}
}

// known refuses the journal of another version.
func known(place string, log step.Log) error {
	if log.Schema == step.LogSchema {
		return nil
	}
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("%s is the journal of another version of Holdfast (schema %d)", place, log.Schema),
		Why:   "A restore was interrupted, and only that version knows what it did.",
		Do:    "Finish it, or take it back, with the version that began it.",
	}
}
