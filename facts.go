package holdfast

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Facts are what Canton and Splice say about themselves in a database, read
// inside the very snapshot that was captured. At most one of the pointers is
// set; none is when the schema was not recognised, or says nothing more.
type Facts struct {
	Schema      string            `json:"schema"`            // the kind that it is, or "unknown"
	Unknown     string            `json:"unknown,omitempty"` // what was missing, when a schema was not recognised
	Migrations  string            `json:"migrations,omitempty"`
	Participant *ParticipantFacts `json:"participant,omitempty"`
	Validator   *SpliceFacts      `json:"validator,omitempty"` // of a validator app
	Splice      *SpliceFacts      `json:"splice,omitempty"`    // of an SV app or a Scan
	Sequencer   *SequencerFacts   `json:"sequencer,omitempty"`
	Mediator    *MediatorFacts    `json:"mediator,omitempty"`
}

// stores are what an app of Splice says of its stores, nil when it says
// nothing.
func (f Facts) stores() *SpliceFacts {
	if f.Validator != nil {
		return f.Validator
	}
	return f.Splice
}

// keepsStores reports whether components of that kind are apps of Splice, which
// follow a participant and keep in stores how far they have come.
func (k Kind) keepsStores() bool { return k == Validator || k == SV || k == Scan }

// SequencerFacts come from a Canton sequencer's schema: the block and the time
// from which it would go on, and the time up to which it has pruned. What is
// nil is not there yet.
type SequencerFacts struct {
	Synchronizer string     `json:"physical_synchronizer_id"`
	Height       *int64     `json:"block_height"`
	Head         *time.Time `json:"head"`
	LowerBound   *time.Time `json:"lower_bound"`
}

// MediatorFacts come from a Canton mediator's schema. CleanHead is the newest
// time up to which it has processed everything; nil when it has nothing yet.
type MediatorFacts struct {
	Synchronizer string     `json:"physical_synchronizer_id"`
	CleanHead    *time.Time `json:"clean_head"`
}

// ParticipantFacts come from a Canton participant's schema. ParticipantID is
// without the prefix "PAR::", as Canton stores it. LedgerEnd is nil for a
// ledger that is still empty, PrunedUpTo for one that was never pruned.
type ParticipantFacts struct {
	ParticipantID string         `json:"participant_id"`
	LedgerEnd     *int64         `json:"ledger_end"`
	Published     *time.Time     `json:"ledger_end_published_at,omitempty"`
	PrunedUpTo    *int64         `json:"pruned_up_to_inclusive"`
	RecordTimes   []RecordTime   `json:"record_times,omitempty"`
	Synchronizers []Synchronizer `json:"synchronizers,omitempty"`
	Pruning       *Pruning       `json:"pruning_schedule,omitempty"`
	NoPruning     bool           `json:"no_pruning,omitempty"` // the schedule was looked for, and there is none
	Users         []User         `json:"users,omitempty"`
	Keys          []Key          `json:"private_keys,omitempty"`
	KMSKeys       []string       `json:"kms_keys,omitempty"`
	Dars          []Dar          `json:"dars,omitempty"` // none: not recorded
}

// Dar is an uploaded archive of Daml packages, by its main package.
type Dar struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Version string `json:"version"`
}

// RecordTime is the time on a synchronizer up to which the ledger end reaches:
// the point in network time that a restore returns to.
type RecordTime struct {
	Synchronizer string    `json:"synchronizer"`
	At           time.Time `json:"at"`
}

// Synchronizer is one connection of the participant. After a logical
// synchronizer upgrade there are several per alias, of which one is active.
type Synchronizer struct {
	Alias      string `json:"alias"`
	PhysicalID string `json:"physical_id,omitempty"`
	Active     bool   `json:"active"`
}

var physicalID = regexp.MustCompile(`^(.+::1220[0-9a-f]{64})::(.+)-([0-9]+)$`)

// Serial is the physical synchronizer's serial, and whether the id contains it.
// "global-domain::1220...::35-5" has serial 5.
func (s Synchronizer) Serial() (int, bool) {
	m := physicalID.FindStringSubmatch(s.PhysicalID)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[3])
	return n, err == nil
}

// Pruning is the participant's pruning schedule.
type Pruning struct {
	Cron        string        `json:"cron"`
	MaxDuration time.Duration `json:"max_duration_ns"`
	Retention   time.Duration `json:"retention_ns"`
}

// User is a user of the participant's ledger API. Rights are the numbers of
// lapi_user_rights: 1 is ParticipantAdmin.
type User struct {
	ID           string     `json:"id"`
	PrimaryParty string     `json:"primary_party,omitempty"`
	Deactivated  bool       `json:"deactivated,omitempty"`
	Rights       []int      `json:"rights,omitempty"`
	Created      *time.Time `json:"created_at,omitempty"`
}

// Key is a private key the participant holds: its fingerprint and name, never
// its bytes. A wrapped key opens only with a key held by a KMS.
type Key struct {
	Fingerprint string `json:"fingerprint"`
	Name        string `json:"name,omitempty"`
	Purpose     int    `json:"purpose"` // 0 signing, 1 encryption
	Wrapped     bool   `json:"wrapped,omitempty"`
}

// SpliceFacts come from the schema of an app of Splice.
type SpliceFacts struct {
	MigrationID int64    `json:"migration_id"` // the highest one, which is the one in use
	Stores      []Store  `json:"stores"`
	Users       []string `json:"users,omitempty"` // onboarded wallet users
}

// Store is one store of the app under one migration. Offset is nil
// when nothing was ingested or the text did not decode; Raw is the text.
// Current marks the newest version of a store: older versions stay behind in
// the database for ever, at the offset where they were abandoned.
type Store struct {
	Name        string `json:"name"`
	Version     int    `json:"version"`
	Party       string `json:"party,omitempty"`
	Participant string `json:"participant"` // with the prefix "PAR::"
	MigrationID int64  `json:"migration_id"`
	Raw         string `json:"last_ingested_offset"`
	Offset      *int64 `json:"offset"`
	Current     bool   `json:"current"`
}

// Participants returns the ids, without "PAR::", of the participants that the
// stores of the migration in use belong to.
func (v SpliceFacts) Participants() []string {
	var ids []string
	for _, s := range v.Stores {
		id := strings.TrimPrefix(s.Participant, "PAR::")
		if s.MigrationID == v.MigrationID && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// ReachesTo is the point in network time that the participant's database
// returns to: the oldest record time of the synchronizers it is connected to,
// and whether it has one. One that it has left stands still for ever.
func (p ParticipantFacts) ReachesTo() (time.Time, bool) {
	connected := slices.DeleteFunc(slices.Clone(p.RecordTimes), func(r RecordTime) bool {
		return !slices.ContainsFunc(p.Synchronizers, func(s Synchronizer) bool {
			return s.Active && strings.HasPrefix(s.PhysicalID, r.Synchronizer+"::")
		})
	})
	if len(connected) == 0 {
		connected = p.RecordTimes
	}
	if len(connected) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(connected, func(a, b RecordTime) int { return a.At.Compare(b.At) }).At, true
}

// ActiveSerial is the highest serial among the connections in use, and whether
// one of them has it.
func (p ParticipantFacts) ActiveSerial() (int, bool) {
	highest, known := 0, false
	for _, s := range p.Synchronizers {
		if n, ok := s.Serial(); ok && s.Active && (!known || n > highest) {
			highest, known = n, true
		}
	}
	return highest, known
}
