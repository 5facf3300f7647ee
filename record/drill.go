package record

import (
	"time"

	"holdfast"
)

// Drill is the record of one drill, a rehearsed restore. It is stored in the
// repository next to the set: retention, the conditions and the plan of a real
// restore need to know which sets restore.
type Drill struct {
	Set     holdfast.SetID    `json:"set"`
	Node    holdfast.NodeName `json:"node"`
	At      time.Time         `json:"at"`      // when it began
	Verdict holdfast.Verdict  `json:"verdict"` // holds: every captured row came back equal
	Found   string            `json:"found"`   // the worst finding, in one sentence
	Restore time.Duration     `json:"restore_ns"`
	Took    time.Duration     `json:"took_ns"` // the whole drill
	Bytes   int64             `json:"bytes"`   // of the databases, as captured
	// Kept says that the set was of snapshots that a provider keeps. How long their
	// instances take says nothing of how long rows do.
	Kept     bool             `json:"kept_elsewhere,omitempty"`
	Host     string           `json:"host"`
	Isolated holdfast.Verdict `json:"isolated"`         // whether the sandbox was proven to reach no network and no socket
	Booted   holdfast.Verdict `json:"booted,omitempty"` // whether the right participant started; "" when not tried
	Report   string           `json:"report"`           // SHA-256, in hex, of the signed report
	Holdfast string           `json:"holdfast"`         // version of the program
}

// Restores is the verdict of a set's newest conclusive drill: Holds when the set
// restored completely, Violated when not, CannotTell without such a drill.
func Restores(set holdfast.SetID, drills []Drill) holdfast.Verdict {
	verdict, at := holdfast.CannotTell, time.Time{}
	for _, d := range drills {
		if d.Set == set && d.Verdict != holdfast.CannotTell && !d.At.Before(at) {
			verdict, at = d.Verdict, d.At
		}
	}
	return verdict
}

// RestoreEstimate estimates the time to restore that many bytes from the newest
// drill that proved a set, and returns that drill. Without one it returns 0.
func RestoreEstimate(bytes int64, drills []Drill) (time.Duration, Drill) {
	var newest Drill
	for _, d := range drills {
		if d.Verdict == holdfast.Holds && !d.Kept && d.Bytes > 0 && d.Restore > 0 && d.At.After(newest.At) {
			newest = d
		}
	}
	if newest.Bytes == 0 {
		return 0, newest
	}
	return time.Duration(float64(newest.Restore) * float64(bytes) / float64(newest.Bytes)), newest
}

// Boot is the result of starting a participant on a restored database.
type Boot struct {
	Image       string        `json:"image"`
	Digest      string        `json:"digest"`                // of the image in its registry, or of the image itself
	Participant string        `json:"participant,omitempty"` // its own id
	Version     string        `json:"version,omitempty"`     // its own version
	Took        time.Duration `json:"took_ns"`               // from its start to its answer
}
