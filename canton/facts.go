package canton

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast"
)

// Read reads the facts of a component's database. A schema that is not known
// is not an error: the facts then say what was missing.
func Read(ctx context.Context, q Querier, kind holdfast.Kind) (holdfast.Facts, error) {
	found, s, err := recognise(ctx, q)
	if err != nil {
		return holdfast.Facts{}, err
	}
	return facts(found, s, kind)
}

// says is what the databases of each kind say about themselves. A kind that is
// not in it says nothing more than what it is.
var says = map[holdfast.Kind]func(*reader, *holdfast.Facts){
	holdfast.Participant: func(r *reader, f *holdfast.Facts) { f.Participant = r.participant() },
	holdfast.Validator:   func(r *reader, f *holdfast.Facts) { f.Validator = r.stores(); r.walletUsers(f.Validator) },
	holdfast.SV:          func(r *reader, f *holdfast.Facts) { f.Splice = r.stores() },
	holdfast.Scan:        func(r *reader, f *holdfast.Facts) { f.Splice = r.stores() },
	holdfast.Sequencer:   func(r *reader, f *holdfast.Facts) { f.Sequencer = r.sequencer() },
	holdfast.Mediator:    func(r *reader, f *holdfast.Facts) { f.Mediator = r.mediator() },
}

// facts reads the facts of a database that was found to be that.
func facts(found Found, s source, kind holdfast.Kind) (holdfast.Facts, error) {
	facts := holdfast.Facts{Schema: "unknown", Unknown: found.What}
	if kind == holdfast.App {
		facts.Schema, facts.Unknown = "app", ""
		return facts, nil
	}
	if found.Kind != kind {
		return facts, nil
	}
	r := reader{source: s}
	facts.Schema, facts.Unknown = string(kind), ""
	facts.Migrations = r.migrations()
	if read, ok := says[kind]; ok {
		read(&r, &facts)
	}
	if r.err != nil {
		return holdfast.Facts{}, r.err
	}
	if r.unknown != "" {
		return holdfast.Facts{Schema: "unknown", Unknown: r.unknown, Migrations: facts.Migrations}, nil
	}
	return facts, nil
}

// reader reads one schema's facts. The first thing that fails, and the first
// that is not as it is known, stay.
type reader struct {
	source
	err     error
	unknown string
}

func (r *reader) each(q query, fn func(row []*string)) {
	if r.err != nil || !q.known(r.source) {
		return
	}
	if err := r.source.each(q, fn); err != nil && (q.decides || !errors.Is(err, errUnread)) {
		r.err = err
	}
}

func (r *reader) doubt(format string, args ...any) {
	if r.unknown == "" {
		r.unknown = fmt.Sprintf(format, args...)
	}
}

func text(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// truth reads a boolean as SQL prints it, or as COPY does.
func truth(v *string) bool { return text(v) == "true" || text(v) == "t" }

// number reads a value that has to be a number or NULL.
func (r *reader) number(q query, column string, v *string) *int64 {
	if v == nil {
		return nil
	}
	n, err := strconv.ParseInt(*v, 10, 64)
	if err != nil {
		r.doubt("%s.%s is not a number: %.40q", q.table, column, *v)
		return nil
	}
	return &n
}

// count is number for a column that has to have a value.
func (r *reader) count(q query, column string, v *string) int64 {
	n := r.number(q, column, v)
	if n == nil {
		r.doubt("%s.%s has no value", q.table, column)
		return 0
	}
	return *n
}

func micros(us int64) time.Time { return time.UnixMicro(us).UTC() }

// migrations is the newest version in Flyway's history: the schema's version.
func (r *reader) migrations() string {
	var newest int64 = -1
	var version string
	r.each(history, func(row []*string) {
		if row[1] == nil || !truth(row[2]) {
			return
		}
		if rank, err := strconv.ParseInt(text(row[0]), 10, 64); err == nil && rank > newest {
			newest, version = rank, *row[1]
		}
	})
	return version
}

func (r *reader) participant() *holdfast.ParticipantFacts {
	var p *holdfast.ParticipantFacts
	// Without the pruned offset half of the order's proof is missing, so a
	// schema that lacks it is not one that is known.
	rows := 0
	r.each(parameters, func(row []*string) {
		rows++
		p = &holdfast.ParticipantFacts{
			ParticipantID: text(row[0]),
			LedgerEnd:     r.number(parameters, "ledger_end", row[1]),
			PrunedUpTo:    r.number(parameters, "participant_pruned_up_to_inclusive", row[2]),
		}
		if us := r.number(parameters, "ledger_end_publication_time", row[3]); us != nil && *us > 0 {
			at := micros(*us)
			p.Published = &at
		}
	})
	switch {
	case p == nil:
		r.doubt("lapi_parameters has no row, or not the columns that are known")
		return nil
	case rows > 1:
		r.doubt("lapi_parameters has %d rows instead of one", rows)
	}
	r.recordTimes(p)
	r.connections(p)
	r.pruning(p)
	r.users(p)
	r.keys(p)
	r.each(dars, func(row []*string) {
		p.Dars = append(p.Dars, holdfast.Dar{ID: text(row[0]), Name: text(row[1]), Version: text(row[2])})
	})
	slices.SortFunc(p.Dars, func(a, b holdfast.Dar) int { return strings.Compare(a.ID, b.ID) })
	return p
}

// recordTimes resolves the synchronizers' numbers: an interned synchronizer's
// text is "d|" and its id.
func (r *reader) recordTimes(p *holdfast.ParticipantFacts) {
	names := map[string]string{}
	r.each(synchronizers, func(row []*string) {
		names[text(row[0])] = strings.TrimPrefix(text(row[1]), synchronizers.prefix)
	})
	r.each(recordTimes, func(row []*string) {
		if name, ok := names[text(row[0])]; ok && row[1] != nil {
			p.RecordTimes = append(p.RecordTimes, holdfast.RecordTime{
				Synchronizer: name,
				At:           micros(r.count(recordTimes, "record_time", row[1])),
			})
		}
	})
	slices.SortFunc(p.RecordTimes, func(a, b holdfast.RecordTime) int {
		return strings.Compare(a.Synchronizer, b.Synchronizer)
	})
}

func (r *reader) connections(p *holdfast.ParticipantFacts) {
	r.each(connections, func(row []*string) {
		p.Synchronizers = append(p.Synchronizers, holdfast.Synchronizer{
			Alias:      text(row[0]),
			PhysicalID: text(row[1]),
			Active:     text(row[2]) == "A",
		})
	})
	slices.SortFunc(p.Synchronizers, func(a, b holdfast.Synchronizer) int {
		return cmp.Or(strings.Compare(a.Alias, b.Alias), strings.Compare(a.PhysicalID, b.PhysicalID))
	})
}

// pruning reads the schedule, whose durations are in seconds.
func (r *reader) pruning(p *holdfast.ParticipantFacts) {
	p.NoPruning = schedules.known(r.source)
	r.each(schedules, func(row []*string) {
		p.NoPruning = false
		p.Pruning = &holdfast.Pruning{
			Cron:        text(row[0]),
			MaxDuration: time.Duration(r.count(schedules, "max_duration", row[1])) * time.Second,
			Retention:   time.Duration(r.count(schedules, "retention", row[2])) * time.Second,
		}
	})
}

func (r *reader) users(p *holdfast.ParticipantFacts) {
	if !rights.known(r.source) {
		return
	}
	held := map[string]map[int]bool{} // by the user's internal id
	r.each(rights, func(row []*string) {
		id := text(row[0])
		if held[id] == nil {
			held[id] = map[int]bool{}
		}
		held[id][int(r.count(rights, "user_right", row[1]))] = true
	})
	r.each(users, func(row []*string) {
		u := holdfast.User{
			ID: text(row[1]), PrimaryParty: text(row[2]), Deactivated: truth(row[3]),
			Rights: slices.Sorted(maps.Keys(held[text(row[0])])),
		}
		if us := r.number(users, "created_at", row[4]); us != nil {
			at := micros(*us)
			u.Created = &at
		}
		p.Users = append(p.Users, u)
	})
	slices.SortFunc(p.Users, func(a, b holdfast.User) int { return strings.Compare(a.ID, b.ID) })
}

func (r *reader) keys(p *holdfast.ParticipantFacts) {
	r.each(privateKeys, func(row []*string) {
		p.Keys = append(p.Keys, holdfast.Key{
			Fingerprint: text(row[0]),
			Name:        text(row[1]),
			Purpose:     int(r.count(privateKeys, "purpose", row[2])),
			Wrapped:     row[3] != nil,
		})
	})
	slices.SortFunc(p.Keys, func(a, b holdfast.Key) int { return strings.Compare(a.Fingerprint, b.Fingerprint) })
	r.each(kmsKeys, func(row []*string) { p.KMSKeys = append(p.KMSKeys, text(row[0])) })
	slices.Sort(p.KMSKeys)
}

// descriptor is one row of store_descriptors: which store of which party.
type descriptor struct {
	id                       int64
	name, participant, party string
	version                  int
	same                     string // what all versions of the store have in common
	unreadable               bool
}

// readDescriptor reads the JSON with which an app of Splice describes a store.
// A store that gets a new version gets a new row and ingests again; the row of
// the old version stays for ever. What else is in the descriptor says which
// store it is.
func readDescriptor(id int64, text string) descriptor {
	d := descriptor{id: id}
	fields := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		d.unreadable = true
		return d
	}
	word := func(key string) string {
		switch v := fields[key].(type) {
		case string:
			return v
		case json.Number:
			return v.String()
		}
		return ""
	}
	d.name, d.party, d.participant = word("name"), word("party"), word("participant")
	d.version, _ = strconv.Atoi(word("version"))
	delete(fields, "version")
	delete(fields, "userVersion")
	same, _ := json.Marshal(fields) // keys come out sorted
	d.same = string(same)
	return d
}

func (r *reader) descriptors() map[int64]descriptor {
	stores := map[int64]descriptor{}
	r.each(descriptors, func(row []*string) {
		id := r.count(descriptors, "id", row[0])
		d := readDescriptor(id, text(row[1]))
		if d.unreadable {
			r.doubt("the descriptor of store %d is not JSON", id)
		}
		stores[id] = d
	})
	return stores
}

// stores are what an app of Splice says of its stores.
func (r *reader) stores() *holdfast.SpliceFacts {
	v := &holdfast.SpliceFacts{}
	stores := r.descriptors()
	type place struct {
		same      string
		migration int64
	}
	newest := map[place]int64{}
	var ids []int64 // of the stores, row by row
	r.each(offsets, func(row []*string) {
		d, ok := stores[r.count(offsets, "store_id", row[0])]
		if !ok {
			return
		}
		s := holdfast.Store{
			Name: d.name, Version: d.version, Party: d.party, Participant: d.participant,
			MigrationID: r.count(offsets, "migration_id", row[1]),
		}
		if row[2] != nil {
			s.Raw = *row[2]
			if n, ok := DecodeOffset(s.Raw); ok {
				s.Offset = &n
			}
		}
		at := place{d.same, s.MigrationID}
		newest[at] = max(newest[at], d.id)
		ids = append(ids, d.id)
		v.Stores = append(v.Stores, s)
		v.MigrationID = max(v.MigrationID, s.MigrationID)
	})
	order := make([]int, len(ids))
	for i, id := range ids {
		order[i] = i
		v.Stores[i].Current = newest[place{stores[id].same, v.Stores[i].MigrationID}] == id
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(ids[a], ids[b]), cmp.Compare(v.Stores[a].MigrationID, v.Stores[b].MigrationID))
	})
	sorted := make([]holdfast.Store, 0, len(order))
	for _, i := range order {
		sorted = append(sorted, v.Stores[i])
	}
	if v.Stores != nil {
		v.Stores = sorted
	}
	return v
}

// sequencer reads where a sequencer would go on, as it does itself at its
// start: at the last block that its watermark has reached.
func (r *reader) sequencer() *holdfast.SequencerFacts {
	s := &holdfast.SequencerFacts{}
	s.Synchronizer, _ = r.synchronizer(sequencerOf)
	watermark := r.earliest(watermarks, "watermark_ts")
	r.each(heights, func(row []*string) {
		height, at := r.count(heights, "height", row[0]), micros(r.count(heights, "latest_event_ts", row[1]))
		if watermark != nil && !at.After(*watermark) && (s.Height == nil || height > *s.Height) {
			s.Height, s.Head = &height, &at
		}
	})
	s.LowerBound = r.earliest(lowerBound, "ts")
	return s
}

// mediator reads how far a mediator has come.
func (r *reader) mediator() *holdfast.MediatorFacts {
	m := &holdfast.MediatorFacts{CleanHead: r.earliest(cleanHeads, "ts")}
	m.Synchronizer, _ = r.synchronizer(mediatorOf)
	return m
}

// earliest is the earliest time in a column of microseconds, nil when it has
// none.
func (r *reader) earliest(q query, column string) *time.Time {
	var earliest *time.Time
	r.each(q, func(row []*string) {
		if at := micros(r.count(q, column, row[0])); earliest == nil || at.Before(*earliest) {
			earliest = &at
		}
	})
	return earliest
}

// walletUsers are those onboarded under the migration in use.
func (r *reader) walletUsers(v *holdfast.SpliceFacts) {
	current := strconv.FormatInt(v.MigrationID, 10)
	names := map[string]bool{}
	r.each(wallets, func(row []*string) {
		if text(row[0]) == wallets.prefix && row[1] != nil && text(row[2]) == current {
			names[*row[1]] = true
		}
	})
	if len(names) > 0 {
		v.Users = slices.Sorted(maps.Keys(names))
	}
}
