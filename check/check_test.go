package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/observed"
	"holdfast/record"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

const participantID = "demo::1220" + "abababababababababababababababababababababababababababababababab"

func physical(serial int) string {
	return fmt.Sprintf("global::1220%s::35-%d", strings.Repeat("0", 64), serial)
}

// participantAt is a participant that has come to a time, on a serial.
func participantAt(at time.Time, serial int, users ...string) *holdfast.ParticipantFacts {
	end, pruned := at.Unix(), at.Add(-48*time.Hour).Unix()
	made := noon.Add(-400 * day)
	p := &holdfast.ParticipantFacts{
		ParticipantID: participantID, LedgerEnd: &end, PrunedUpTo: &pruned,
		RecordTimes:   []holdfast.RecordTime{{Synchronizer: "global::1220" + strings.Repeat("0", 64), At: at}},
		Synchronizers: []holdfast.Synchronizer{{Alias: "global", PhysicalID: physical(serial), Active: true}},
		Pruning:       &holdfast.Pruning{Cron: "0 0 /6 * * ?", Retention: 48 * time.Hour},
		Dars:          []holdfast.Dar{{ID: "a", Name: "amulet", Version: "1"}},
	}
	for _, u := range append([]string{"admin"}, users...) {
		p.Users = append(p.Users, holdfast.User{ID: u, Created: &made})
	}
	return p
}

func validatorAt(at time.Time) *holdfast.SpliceFacts {
	offset := at.Unix() - 1
	return &holdfast.SpliceFacts{Stores: []holdfast.Store{{Name: "s", Participant: "PAR::" + participantID, Offset: &offset, Current: true}}, Users: []string{"admin"}}
}

func identitiesNow() holdfast.IdentityFacts {
	return holdfast.IdentityFacts{
		ID: "PAR::" + participantID, Content: "c", SealedFile: "identities/participant.json.age", Recipients: []string{"age1x"},
		Keys: []holdfast.IdentityKey{{Name: "namespace", Fingerprint: "1220aa"}},
		Checks: []holdfast.IdentityCheck{
			{Code: "dump_whole", Title: "the dump is complete", Verdict: holdfast.Holds},
			{Code: "same_participant", Title: "the dump belongs to this participant", Verdict: holdfast.Holds},
			{Code: "keys_current", Title: "the dump has the keys in use now", Verdict: holdfast.Holds},
		},
	}
}

var components = []holdfast.Component{{Name: "participant", Kind: holdfast.Participant}, {Name: "validator", Kind: holdfast.Validator}}

// setAt is a proven set whose participant was captured then.
func setAt(at time.Time, serial int, users ...string) holdfast.Set {
	moment := func(since time.Duration) holdfast.Moment {
		return holdfast.Moment{Wall: at.Add(since - 2*time.Minute), Since: since}
	}
	ids := identitiesNow()
	id := holdfast.NewSetID(at, [4]byte{})
	s := holdfast.Set{
		Schema: 1, ID: id, Node: holdfast.Node{Name: "demo", Components: components},
		Began: moment(0), Ended: moment(4 * time.Minute), Identities: &ids,
		Captures: []holdfast.Capture{
			{
				Method: holdfast.Dump, Began: moment(time.Second), Ended: moment(time.Minute),
				Components: []holdfast.Captured{{
					Component: "validator", Kind: holdfast.Validator,
					Facts:  holdfast.Facts{Schema: "validator", Validator: validatorAt(at)},
					Schema: "0f", Rehearsal: &holdfast.Rehearsal{Set: id, Place: "in a sandbox"},
				}},
			},
			{
				Method: holdfast.Dump, Began: moment(2 * time.Minute), Consistent: moment(2 * time.Minute), Ended: moment(4 * time.Minute),
				Components: []holdfast.Captured{{
					Component: "participant", Kind: holdfast.Participant, Database: holdfast.Database{Bytes: 1 << 30},
					Facts:  holdfast.Facts{Schema: "participant", Participant: participantAt(at, serial, users...)},
					Schema: "1e", Rehearsal: &holdfast.Rehearsal{Set: id, Place: "in a sandbox"},
				}},
			},
		},
	}
	s.Prove()
	if s.State != holdfast.Proven {
		panic(fmt.Sprint(s.State, s.Problems()))
	}
	return s
}

func scanView(url string, serial int, served ...int) observed.Scan {
	v := observed.Scan{URL: url, Clock: holdfast.Known(time.Second), Serial: holdfast.Known(serial), Upgrade: holdfast.Known(observed.Upgrade{})}
	var list []observed.Sequencer
	for _, n := range served {
		for sv := range 3 {
			list = append(list, observed.Sequencer{SV: fmt.Sprintf("SV-%d", sv+1), Serial: n, URL: fmt.Sprintf("https://sequencer-%d.sv-%d", n, sv+1), Answers: true})
		}
	}
	v.Sequencers = holdfast.Known(list)
	return v
}

func scans(serial int, served ...int) []observed.Scan {
	return []observed.Scan{scanView("https://scan-1", serial, served...), scanView("https://scan-2", serial, served...), scanView("https://scan-3", serial, served...)}
}

// lockedLately are locks that were extended and attacked without success.
func lockedLately() Locks {
	return Locks{
		Where: "s3://sets/demo", Mode: "COMPLIANCE", Period: 30 * day, Kept: true,
		Extended: noon.Add(-time.Hour), Until: noon.Add(30*day - time.Hour),
		Tried: &record.Attacks{At: noon.Add(-9 * day), Tried: []record.Attack{{Attack: "delete", Verdict: holdfast.Holds, Found: "refused"}}},
	}
}

// rented is an instance at a provider with which nothing is wrong.
func rented() Instance {
	return Instance{Name: "splice", Keeper: "rds eu-central-1", Used: 40, Most: 100, Protected: true}
}

// snapshots makes those sets, by their places, refer to a provider's snapshots.
func (o *Observations) snapshots(of ...int) {
	r, _ := o.Repository.Get()
	for _, n := range of {
		captures := slices.Clone(r.Sets[n].Captures)
		for i := range captures {
			captures[i].Method = holdfast.Snapshot
		}
		r.Sets[n].Captures = captures
	}
	o.Repository = holdfast.Known(r)
}

// healthy is a node for which everything holds at noon.
func healthy() *Observations {
	live := func(facts holdfast.Facts) holdfast.Observed[observed.Database] {
		return holdfast.Known(observed.Database{Facts: facts, Server: holdfast.Server{Number: 150018, Version: "15.18"}, Where: "db:5432", Free: holdfast.Known[int64](8 << 30)})
	}
	set := setAt(noon.Add(-time.Hour), 5)
	return &Observations{
		Node:       holdfast.Node{Name: "demo", Components: components},
		Repository: holdfast.Known(Repository{Name: "/backups", Sets: []holdfast.Set{setAt(noon.Add(-9*time.Hour), 5), setAt(noon.Add(-5*time.Hour), 5), set}}),
		Drills:     holdfast.Known([]record.Drill{{Set: set.ID, At: noon.Add(-3 * day), Verdict: holdfast.Holds, Restore: time.Minute, Bytes: 1 << 30}}),
		KeyTests:   holdfast.Known([]record.KeyTest{{Set: set.ID, At: noon.Add(-day), Content: "c"}}),
		Disproofs:  holdfast.Known([]record.Disproof(nil)),
		Live: map[holdfast.ComponentName]holdfast.Observed[observed.Database]{
			"participant": live(holdfast.Facts{Schema: "participant", Participant: participantAt(noon.Add(-time.Minute), 5)}),
			"validator":   live(holdfast.Facts{Schema: "validator", Validator: validatorAt(noon.Add(-time.Minute))}),
		},
		Identities: holdfast.Known(identitiesNow()),
		App:        holdfast.Known(observed.App{Active: true, Version: "0.6.11", Users: holdfast.Known([]string{"admin"})}),
		Scans:      scans(5, 5),
		Admin: holdfast.Known(observed.Participant{ID: participantID, Initialized: true, Connected: []observed.Connection{{PhysicalID: physical(5), Healthy: true}},
			Parties: holdfast.Known([]observed.Party{{ID: "demo::1220", Participants: 1}})}),
		Metrics:  holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-time.Minute)}),
		Beside:   holdfast.Known([]string{}),
		Locks:    holdfast.Known(lockedLately()),
		Provider: holdfast.Known([]Instance{}),
		Restore:  holdfast.Known(""),
		Data:     holdfast.Known(holdfast.Finding{Verdict: holdfast.Holds, Evidence: "in volume data"}),
		Alive:    holdfast.Known(holdfast.Finding{Verdict: holdfast.Holds, Evidence: "database participant-4 has participant"}),
		Copies:   holdfast.Known([]Copy{{Where: "/elsewhere", Sets: []CopiedSet{{set.ID, holdfast.Proven, set.Ended.Wall}}}}),
		Declared: Declared{Retention: []Retention{{SV: EverySV, Keeps: 30 * day, Source: "operators' channel, 2026-11-02"}}},
	}
}

// changed lets a case change one repository, one live database.
func (o *Observations) sets(list ...holdfast.Set) {
	r, _ := o.Repository.Get()
	r.Sets = list
	o.Repository = holdfast.Known(r)
}

func (o *Observations) live(name holdfast.ComponentName, change func(*observed.Database)) {
	l, _ := o.Live[name].Get()
	change(&l)
	o.Live[name] = holdfast.Known(l)
}

// rehearsed lets a rehearsal of the newest set's participant have that result,
// and no drill speak for it.
func (o *Observations) rehearsed(r holdfast.Rehearsal) {
	s := o.newest()
	s.Captures = cloned(s.Captures)
	s.Captures[1].Components[0].Rehearsal = &r
	o.sets(setAt(noon.Add(-2*time.Hour), 5), s)
	o.Drills = holdfast.Known([]record.Drill{{Set: "another", At: noon.Add(-day), Verdict: holdfast.Holds}})
}

// disproved lets the set that began then have found rows that changed unseen.
func (o *Observations) disproved(began time.Time) {
	o.Disproofs = holdfast.Known([]record.Disproof{{
		Node: "demo", Component: "participant", At: began,
		Disproof: holdfast.Disproof{Table: "t", From: 512, ReadAt: noon.Add(-6 * time.Hour)},
	}})
}

func (o *Observations) newest() holdfast.Set {
	r, _ := o.Repository.Get()
	return r.Sets[len(r.Sets)-1]
}

func with[T any](o holdfast.Observed[T], change func(*T)) holdfast.Observed[T] {
	v, _ := o.Get()
	change(&v)
	return holdfast.Known(v)
}

func TestEveryConditionHoldsForAHealthyNode(t *testing.T) {
	o := healthy()
	r := Make(*o, noon)
	for _, c := range r.Conditions {
		if c.Verdict != holdfast.Holds || c.Evidence == "" || c.Next != "" || len(c.Missing) > 0 {
			t.Errorf("%+v", c)
		}
	}
	if r.Verdict != holdfast.Holds || r.Err() != nil || len(r.Conditions) != 31 {
		t.Errorf("%s, %v, %d conditions", r.Verdict, r.Err(), len(r.Conditions))
	}
	if len(r.Runways) != 3 || r.Runways[0].Left == nil || *r.Runways[0].Left != 30*day-time.Minute || r.Runways[0].SV != "SV-1" {
		t.Errorf("%+v", r.Runways)
	}
	if r.Loss == nil || r.Loss.Complete != holdfast.Holds || *r.Loss.Replay != 59*time.Minute || r.Loss.Estimate != time.Minute || len(r.Loss.Losses) != 1 || len(r.Loss.Steps) < 4 {
		t.Errorf("%+v", r.Loss)
	}
}

// Of whom nothing is known, nothing holds.
func TestNothingHoldsOfTheUnknown(t *testing.T) {
	for name, o := range map[string]Observations{"the zero value": {}, "a node alone": {Node: holdfast.Node{Name: "demo", Components: components}}} {
		r := Make(o, noon)
		for _, c := range r.Conditions {
			if c.Verdict != holdfast.CannotTell || len(c.Missing) == 0 || c.Next == "" || !strings.Contains(c.Evidence, c.Missing[0]) && c.Code != RecoveryRoute {
				t.Errorf("%s: %+v", name, c)
			}
		}
		if r.Verdict != holdfast.CannotTell || holdfast.ClassOf(r.Err()) != holdfast.Undetermined || r.Loss != nil || len(r.Runways) != 0 {
			t.Errorf("%s: %s, %v, %v", name, r.Verdict, r.Err(), r.Runways)
		}
	}
}

func TestTheCatalogueIsWhole(t *testing.T) {
	codes := Codes()
	seen := map[Code]bool{}
	var walk func(Code, []Code)
	entries := map[Code]Entry{}
	for _, e := range Catalogue() {
		entries[e.Code] = e
		if seen[e.Code] || e.Title == "" || e.Observed == "" || e.Why == "" || e.Consequence == "" || e.Next == "" || e.judge == nil {
			t.Errorf("%s: twice, or not whole", e.Code)
		}
		seen[e.Code] = true
		if !regexp.MustCompile(`^[a-z_]+$`).MatchString(string(e.Code)) || !regexp.MustCompile(`\[.+\]|\.$`).MatchString(e.Why) {
			t.Errorf("%s: %q", e.Code, e.Why)
		}
	}
	walk = func(c Code, path []Code) {
		if slices.Contains(path, c) {
			t.Fatalf("dependencies go in a circle: %v", append(path, c))
		}
		for _, d := range entries[c].DependsOn {
			if !slices.Contains(codes, d) {
				t.Errorf("%s depends on %s, which is no condition", c, d)
			}
			walk(d, append(slices.Clone(path), c))
		}
	}
	for _, c := range codes {
		walk(c, nil)
	}
	for _, known := range []Code{"identities_backed_up", "postgres_cadence", "snapshot_ordering", "historical_spacing", "lsu_retention", "restore_point_within_retained_history",
		"old_synchronizer_reachable", "pruning_schedule_configured", "recovery_route_available", "users_since_backup", "parties_not_migrated", "acknowledgement_age_within_retention"} {
		if !seen[known] {
			t.Errorf("the literature's %s is not in the catalogue", known)
		}
	}
}

// cloned are captures of which a test may change what they say of their
// components.
func cloned(captures []holdfast.Capture) []holdfast.Capture {
	out := slices.Clone(captures)
	for i := range out {
		out[i].Components = slices.Clone(out[i].Components)
	}
	return out
}
