package record

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast"
)

// Summary is what lists need of a set's manifest. It is stored with the set's
// entry in the listing, so that a list reads no manifest. It serves for looking:
// what is dropped or restored is decided by manifests.
type Summary struct {
	// At is the time of the participant's database in the set; for a node
	// without a participant, the begin of the run.
	At time.Time `json:"at"`
	// Marks are what a restore has to match, by name: "synchronizer serial" is
	// "global 5". Only recorded values are among them.
	Marks map[string]string `json:"marks,omitempty"`
	// Window is the retention of the participant's pruning schedule: 0 when it has
	// none, nil when that is not recorded. Pruned says that it has pruned before.
	Window    *time.Duration `json:"pruning_window_ns,omitempty"`
	Pruned    bool           `json:"pruned,omitempty"`
	Databases int64          `json:"database_bytes"` // of the databases as captured
}

// The names of marks.
const (
	serialMark    = "synchronizer serial"
	migrationMark = "migration id"
	postgresMark  = "Postgres version"
	schemaMark    = "schema version"
)

// Summarize makes the summary of a set's manifest.
func Summarize(set holdfast.Set) Summary {
	s := Summary{At: set.Began.Wall, Marks: map[string]string{}}
	for _, part := range set.Parts() {
		s.Databases += part.Database.Bytes
		if v := part.Server.Number; v != 0 {
			s.Marks[postgresMark+" of "+string(part.Component)] = version(v)
		}
		// A set does not record the Splice version itself. An upgrade changes
		// the schema's version, which a restore has to match.
		if v := part.Facts.Migrations; v != "" {
			s.Marks[schemaMark+" of "+string(part.Component)] = v
		}
		if v := part.Facts.Validator; v != nil {
			s.Marks[migrationMark] = strconv.FormatInt(v.MigrationID, 10)
		}
		if p := part.Facts.Participant; p != nil {
			s.participant(part, *p)
		}
	}
	return s
}

func (s *Summary) participant(part holdfast.Part, p holdfast.ParticipantFacts) {
	if !part.Consistent.Wall.IsZero() {
		s.At = part.Consistent.Wall
	}
	s.Pruned = p.PrunedUpTo != nil
	switch {
	case p.Pruning != nil:
		s.Window = &p.Pruning.Retention
	case p.NoPruning:
		s.Window = new(time.Duration)
	}
	var serials []string
	for _, on := range p.Synchronizers {
		if !on.Active {
			continue
		}
		name := on.PhysicalID
		if n, ok := on.Serial(); ok {
			name = strconv.Itoa(n)
		}
		serials = append(serials, on.Alias+" "+name)
	}
	if len(serials) > 0 {
		slices.Sort(serials)
		s.Marks[serialMark] = strings.Join(serials, ", ")
	}
}

// version formats Postgres' version number: 150018 is 15.18.
func version(number int) string { return fmt.Sprintf("%d.%d", number/10000, number%10000) }
