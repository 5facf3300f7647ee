package record

import (
	"holdfast"
	"time"
)

// Drill is what is remembered of one rehearsed restore. It is kept in the
// repository, beside the set, for whoever has to know which sets are known to
// restore: retention, the conditions, the plan of a real restore.
type Drill struct {
	Set      holdfast.SetID    `json:"set"`
	Node     holdfast.NodeName `json:"node"`
	At       time.Time         `json:"at"`      // when it began
	Verdict  holdfast.Verdict  `json:"verdict"` // holds: everything that was captured came back equal
	Found    string            `json:"found"`   // the worst finding, in one sentence
	Restore  time.Duration     `json:"restore_ns"`
	Took     time.Duration     `json:"took_ns"` // the whole drill
	Bytes    int64             `json:"bytes"`   // of the databases, as captured
	Host     string            `json:"host"`
	Isolated holdfast.Verdict  `json:"isolated"`         // whether it was proven that no network could be reached
	Booted   holdfast.Verdict  `json:"booted,omitempty"` // whether the participant started and was who it should be; "" when that was not tried
	Report   string            `json:"report"`           // SHA-256, in hex, of the signed report
	Holdfast string            `json:"holdfast"`         // version of the program
}

// Restores is what the drills of one set say: holdfast.Holds when the newest that could
// tell found it whole, holdfast.Violated when it did not, holdfast.CannotTell when there is none.
func Restores(set holdfast.SetID, drills []Drill) holdfast.Verdict {
	verdict, at := holdfast.CannotTell, time.Time{}
	for _, d := range drills {
		if d.Set == set && d.Verdict != holdfast.CannotTell && !d.At.Before(at) {
			verdict, at = d.Verdict, d.At
		}
	}
	return verdict
}

// RestoreEstimate is how long restoring that many bytes takes by the newest
// drill that proved a set, and that drill; 0 when there is none to go by.
func RestoreEstimate(bytes int64, drills []Drill) (time.Duration, Drill) {
	var newest Drill
	for _, d := range drills {
		if d.Verdict == holdfast.Holds && d.Bytes > 0 && d.Restore > 0 && d.At.After(newest.At) {
			newest = d
		}
	}
	if newest.Bytes == 0 {
		return 0, newest
	}
	return time.Duration(float64(newest.Restore) * float64(bytes) / float64(newest.Bytes)), newest
}

// Boot is what became of starting a participant on a restored database.
type Boot struct {
	Image       string        `json:"image"`
	Digest      string        `json:"digest"`                // of the image in its registry, or of the image itself
	Participant string        `json:"participant,omitempty"` // who it says it is
	Version     string        `json:"version,omitempty"`     // that it says it runs
	Took        time.Duration `json:"took_ns"`               // from its start to its answer
}
