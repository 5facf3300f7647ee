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
// set; neither is when the schema was not recognised.
type Facts struct {
	Schema      string            `json:"schema"`            // "participant", "validator", "app" or "unknown"
	Unknown     string            `json:"unknown,omitempty"` // what was missing, when a schema was not recognised
	Migrations  string            `json:"migrations,omitempty"`
	Participant *ParticipantFacts `json:"participant,omitempty"`
	Validator   *ValidatorFacts   `json:"validator,omitempty"`
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

// Serial is the physical synchronizer's serial, and whether the id told it.
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

// ValidatorFacts come from a Splice validator app's schema.
type ValidatorFacts struct {
	MigrationID int64    `json:"migration_id"` // the highest one, which is the one in use
	Stores      []Store  `json:"stores"`
	Users       []string `json:"users,omitempty"` // onboarded wallet users
}

// Store is one store of the validator app under one migration. Offset is nil
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

var offsetRule = regexp.MustCompile(`^00[0-9a-f]{16}$`)

// DecodeOffset turns the text of last_ingested_offset into a ledger offset:
// lower-case hex of a zero byte and a big-endian 64-bit number; the empty text
// is the offset before the first event. Anything else is unknown, never zero.
func DecodeOffset(text string) (int64, bool) {
	if text == "" {
		return 0, true
	}
	if !offsetRule.MatchString(text) {
		return 0, false
	}
	n, err := strconv.ParseInt(text[2:], 16, 64)
	return n, err == nil
}

// Participants returns the ids, without "PAR::", of the participants that the
// stores of the migration in use belong to.
func (v ValidatorFacts) Participants() []string {
	var ids []string
	seen := map[string]bool{}
	for _, s := range v.Stores {
		id := strings.TrimPrefix(s.Participant, "PAR::")
		if s.MigrationID == v.MigrationID && !seen[id] {
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids
}

// ReachesTo is the point in network time that the participant's database
// returns to: the oldest record time of the synchronizers it is connected to,
// and whether it tells one. One that it has left stands still for ever.
func (p ParticipantFacts) ReachesTo() (time.Time, bool) {
	connected := slices.DeleteFunc(slices.Clone(p.RecordTimes), func(r RecordTime) bool {
		return !slices.ContainsFunc(p.Synchronizers, func(s Synchronizer) bool { return s.Active && strings.HasPrefix(s.PhysicalID, r.Synchronizer+"::") })
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
// one of them tells it.
func (p ParticipantFacts) ActiveSerial() (int, bool) {
	highest, known := 0, false
	for _, s := range p.Synchronizers {
		if n, ok := s.Serial(); ok && s.Active && (!known || n > highest) {
			highest, known = n, true
		}
	}
	return highest, known
}
