package history

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast"
	"holdfast/content"
)

// state is a node at one moment.
type state struct {
	at                time.Time
	id, namespace     string
	postgres          int
	validatorSchema   int
	participantSchema int
	serial            int
	old               []int // serials that were left behind
	pace              float64
	offset            int64 // the participant's ledger end
	ends              []end // the ledger end over time
	pruned            *int64
	window            time.Duration
	users             []user
	systemID          string
}

type user struct {
	name string
	made time.Time
}

type end struct {
	at     time.Time
	offset int64
}

// born is a node that has been running for a while.
func (m *maker) born(seed uint64) state {
	namespace := "1220" + strings.Repeat(fmt.Sprintf("%016x", m.rand.Uint64()), 4)
	s := state{
		at:                m.opt.Begin,
		id:                fmt.Sprintf("validator-%d::%s", seed, namespace),
		namespace:         namespace,
		postgres:          150010 + m.rand.IntN(5),
		validatorSchema:   60 + m.rand.IntN(10),
		participantSchema: 4 + m.rand.IntN(4),
		serial:            m.rand.IntN(4),
		pace:              1 + 20*m.rand.Float64(),
		offset:            1000 + m.rand.Int64N(1_000_000),
		window:            []time.Duration{0, 48 * time.Hour, 30 * 24 * time.Hour}[m.rand.IntN(3)],
		users:             []user{{"administrator", m.opt.Begin.Add(-100 * 24 * time.Hour)}},
		systemID:          strconv.FormatUint(m.rand.Uint64()>>1, 10),
	}
	s.ends = []end{{s.at, s.offset}}
	return s
}

// grow appends to the ledger and prunes what is older than the window.
func (s *state) grow(updates int64) {
	s.offset += updates
	s.ends = append(s.ends, end{s.at, s.offset}) // states that were noted share it, and none changes what it has
	if s.window == 0 {
		return
	}
	kept := 0
	for i, e := range s.ends {
		if s.at.Sub(e.at) <= s.window {
			break
		}
		kept = i
		if s.pruned == nil || e.offset > *s.pruned {
			upTo := e.offset
			s.pruned = &upTo
		}
	}
	s.ends = s.ends[kept:]
}

func (s *state) upgradeSynchronizer() {
	s.old = append(slices.Clone(s.old), s.serial)
	s.serial++
}

const synchronizer = "global-domain"

func (s state) physicalID(serial int) string {
	return fmt.Sprintf("%s::1220%s::35-%d", synchronizer, strings.Repeat("ab", 32), serial)
}

func (s state) participantFacts() holdfast.Facts {
	ledgerEnd, published := s.offset, s.at
	p := &holdfast.ParticipantFacts{
		ParticipantID: s.id,
		LedgerEnd:     &ledgerEnd,
		Published:     &published,
		PrunedUpTo:    s.pruned,
		RecordTimes: []holdfast.RecordTime{{
			Synchronizer: synchronizer + "::1220" + strings.Repeat("ab", 32),
			At:           s.at,
		}},
		Keys: []holdfast.Key{{Fingerprint: s.namespace, Name: "namespace"}},
	}
	for _, serial := range s.old {
		p.Synchronizers = append(p.Synchronizers, holdfast.Synchronizer{
			Alias:      "global",
			PhysicalID: s.physicalID(serial),
		})
	}
	p.Synchronizers = append(p.Synchronizers, holdfast.Synchronizer{
		Alias:      "global",
		PhysicalID: s.physicalID(s.serial),
		Active:     true,
	})
	p.Dars = []holdfast.Dar{{
		ID:      strings.Repeat("ef", 32),
		Name:    "splice-amulet",
		Version: fmt.Sprintf("0.1.%d", s.validatorSchema),
	}}
	p.NoPruning = s.window == 0
	if s.window > 0 {
		p.Pruning = &holdfast.Pruning{Cron: "0 /10 * * * ?", MaxDuration: 5 * time.Minute, Retention: s.window}
	}
	for _, u := range s.users {
		p.Users = append(p.Users, holdfast.User{ID: u.name, Created: &u.made, Rights: []int{2, 3}})
	}
	return holdfast.Facts{Schema: "participant", Migrations: strconv.Itoa(s.participantSchema), Participant: p}
}

func (s state) validatorFacts(offset int64) holdfast.Facts {
	v := &holdfast.SpliceFacts{}
	for _, u := range s.users {
		v.Users = append(v.Users, u.name)
	}
	for i, name := range []string{"DbValidatorStore", "DbUserWalletStore"} {
		at := max(0, offset-int64(i))
		v.Stores = append(v.Stores, holdfast.Store{
			Name:        name,
			Version:     2,
			Participant: "PAR::" + s.id,
			Raw:         fmt.Sprintf("%018x", at),
			Offset:      &at,
			Current:     true,
		})
	}
	return holdfast.Facts{Schema: "validator", Migrations: fmt.Sprintf("%03d", s.validatorSchema), Validator: v}
}

var node = holdfast.Node{Name: "demo", Components: []holdfast.Component{
	{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator},
}}

// take takes a set: the validator app's database, then the participant's, with
// the ledger growing on.
func (m *maker) take() {
	s := &m.state
	began := s.at
	var random [4]byte
	for i := range random {
		random[i] = byte(m.rand.UintN(256))
	}
	moment := func() holdfast.Moment { return holdfast.Moment{Wall: s.at, Since: s.at.Sub(began)} }
	set := holdfast.Set{
		Schema:   holdfast.ManifestSchema,
		ID:       holdfast.NewSetID(began, random),
		Node:     node,
		Holdfast: "0.1.0",
		Host:     "backup",
		Attempt:  1,
		Began:    moment(),
	}
	capture := func(name holdfast.ComponentName, kind holdfast.Kind, facts func() holdfast.Facts) {
		c := holdfast.Capture{
			Method:     holdfast.Dump,
			Began:      moment(),
			Consistent: moment(),
			Bytes:      s.offset * 1000,
			Components: []holdfast.Captured{{
				Component: name, Kind: kind, Facts: facts(), Schema: fmt.Sprintf("%064x", s.participantSchema),
				Rehearsal: &holdfast.Rehearsal{Set: set.ID, At: s.at, Took: time.Second, Place: "next to the live database"},
			}},
			Server: holdfast.Server{
				Version:  fmt.Sprintf("%d.%d", s.postgres/10000, s.postgres%10000),
				Number:   s.postgres,
				SystemID: s.systemID,
				Timeline: 1,
			},
			Content: content.Rows{Schema: string(name) + "/schema.dump", Globals: string(name) + "/globals.sql"},
		}
		m.pass(m.between(m.opt.Every/720, m.opt.Every/50))
		c.Ended = moment()
		set.Captures = append(set.Captures, c)
		m.pass(time.Second)
	}
	ingested := s.offset - m.rand.Int64N(4)
	capture("validator", holdfast.Validator, func() holdfast.Facts { return s.validatorFacts(ingested) })
	capture("participant", holdfast.Participant, s.participantFacts)
	set.Ended = moment()
	if m.opt.Faults {
		m.harm(&set)
	}
	set.Prove()
	m.life.Sets = append(m.life.Sets, set)
	m.life.states = append(m.life.states, *s)
}

// harm does to some sets what the world does.
func (m *maker) harm(set *holdfast.Set) {
	switch m.rand.IntN(14) {
	case 0:
		set.Missing = []string{"identities: 503 Service Unavailable"}
		m.event("%s without identities", set.ID)
	case 1:
		for i := range set.Captures[0].Components[0].Facts.Validator.Stores {
			*set.Captures[0].Components[0].Facts.Validator.Stores[i].Offset += 1_000_000
		}
		m.event("%s misordered", set.ID)
	case 2:
		set.Captures[1].Components[0].Facts.Participant.ParticipantID = "other::1220" + strings.Repeat("00", 32)
		m.event("%s mismatched", set.ID)
	case 3:
		jump := m.between(-36*time.Hour, 36*time.Hour)
		for _, moment := range []*holdfast.Moment{&set.Began, &set.Ended, &set.Captures[0].Began,
			&set.Captures[0].Consistent, &set.Captures[0].Ended,
			&set.Captures[1].Began, &set.Captures[1].Consistent, &set.Captures[1].Ended} {
			moment.Wall = moment.Wall.Add(jump)
		}
		m.event("%s taken with a clock that was off by %v", set.ID, jump)
	}
}
