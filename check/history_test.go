package check_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/internal/splicetest/history"
	"holdfast/observed"
	"holdfast/record"
)

const day = 24 * time.Hour

// No alarm in any healthy life: two hundred nodes of two months each, with
// growth, pruning, users, upgrades of Splice, of Postgres and of the
// synchronizer, restarts and runs that were killed, each looked at in many
// moments. The moments are the worst there are: right before the next set.
// Of three Scans one may lie, limit or be away.
func TestNoFalseAlarmInAnyHealthyLife(t *testing.T) {
	const lives, moments = 200, 3
	looked := 0
	seen := map[check.Code]int{}
	events := map[string]int{}
	words := []string{"onboarded", "restart", "Postgres", "Splice", "synchronizer upgrade", "pruning", "killed"}
	for seed := range uint64(lives) {
		life := history.New(seed, history.Options{})
		for _, e := range life.Events {
			for _, word := range words {
				if strings.Contains(e.What, word) {
					events[word]++
				}
			}
		}
		r := rand.New(rand.NewPCG(seed, 1))
		for range moments {
			k := 1 + r.IntN(len(life.Sets)-1)
			o, now := moment(life, k, r)
			for _, c := range check.Evaluate(o, now) {
				if c.Verdict != holdfast.Holds {
					t.Errorf("seed %d, set %d, %s: %s is %s: %s", seed, k, now.Format(time.RFC3339), c.Code, c.Verdict, c.Evidence)
				} else {
					seen[c.Code]++
				}
			}
			looked++
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if looked != lives*moments || len(seen) != len(check.Codes()) {
		t.Errorf("looked at %d moments and %d conditions", looked, len(seen))
	}
	for _, word := range words { // silence about lives in which nothing happens would mean little
		if events[word] < 20 {
			t.Errorf("%q happened %d times in two hundred lives", word, events[word])
		}
	}
}

// And in the same moments, what is planted is found: the life is one in which
// every condition can be violated.
func TestPlantedFaultsInHealthyLives(t *testing.T) {
	for seed := range uint64(8) {
		life := history.New(seed, history.Options{})
		r := rand.New(rand.NewPCG(seed, 2))
		k := 30 + r.IntN(len(life.Sets)-30)
		for code, plant := range planted() {
			o, now := moment(life, k, r)
			plant(&o, &now)
			list := check.Evaluate(o, now)
			if got := list[slices.IndexFunc(list, func(c check.Condition) bool { return c.Code == code })]; got.Verdict != holdfast.Violated {
				t.Errorf("seed %d, set %d: %s is %s: %s", seed, k, code, got.Verdict, got.Evidence)
			}
		}
	}
}

func planted() map[check.Code]func(*check.Observations, *time.Time) {
	sets := func(o *check.Observations, change func([]holdfast.Set) []holdfast.Set) {
		r, _ := o.Repository.Get()
		r.Sets = change(r.Sets)
		o.Repository = holdfast.Known(r)
	}
	return map[check.Code]func(*check.Observations, *time.Time){
		check.PostgresCadence: func(_ *check.Observations, now *time.Time) { *now = now.Add(2 * time.Hour) },
		check.SnapshotOrdering: func(o *check.Observations, _ *time.Time) {
			sets(o, func(list []holdfast.Set) []holdfast.Set {
				last := list[len(list)-1]
				last.Captures = slices.Clone(last.Captures)
				last.Captures[1].Began.Since = last.Captures[0].Began.Since // side by side
				return append(slices.Clone(list[:len(list)-1]), last)
			})
		},
		check.RestorePointRetained: func(o *check.Observations, _ *time.Time) { o.Declared.Retention[0].Keeps = time.Hour },
		check.Acknowledgement: func(o *check.Observations, now *time.Time) {
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: now.Add(-25 * day)})
		},
		check.ClockSane: func(o *check.Observations, now *time.Time) { *now = now.Add(-3 * day) },
		check.RestoreProven: func(o *check.Observations, _ *time.Time) {
			o.Drills = holdfast.Known([]record.Drill(nil))
		},
		check.TakenOverHolds: func(o *check.Observations, now *time.Time) {
			o.Disproofs = holdfast.Known([]record.Disproof{{Component: "participant", At: *now}})
		},
		check.SchemaComesBack: func(o *check.Observations, _ *time.Time) {
			sets(o, func(list []holdfast.Set) []holdfast.Set {
				last := &list[len(list)-1]
				last.Captures = slices.Clone(last.Captures)
				components := slices.Clone(last.Captures[0].Components)
				components[0].Rehearsal = &holdfast.Rehearsal{Obstacles: []holdfast.Obstacle{{Object: "view v"}}}
				last.Captures[0].Components = components
				return list
			})
		},
		check.UsersSinceBackup: func(o *check.Observations, now *time.Time) {
			live, _ := o.Live["participant"].Get()
			p := *live.Facts.Participant
			made := now.Add(-6 * time.Hour)
			p.Users = append(slices.Clone(p.Users), holdfast.User{ID: "forgotten", Created: &made})
			live.Facts.Participant = &p
			o.Live["participant"] = holdfast.Known(live)
		},
		check.RecoveryRoute: func(o *check.Observations, _ *time.Time) {
			sets(o, func([]holdfast.Set) []holdfast.Set { return nil })
		},
	}
}

// moment is everything there is to see of a node right before its set k is
// taken: that set's own facts are those of the live databases.
func moment(life history.Life, k int, r *rand.Rand) (check.Observations, time.Time) {
	next := life.Sets[k]
	live := func(i int) holdfast.Observed[observed.Database] {
		c := next.Parts()[i]
		return holdfast.Known(observed.Database{Facts: c.Facts, Server: c.Server, Where: "db:5432", Free: holdfast.Known[int64](1 << 40), Clock: time.Duration(r.IntN(4000)) * time.Millisecond})
	}
	participant := next.Captures[1].Components[0].Facts.Participant
	now := next.Captures[1].Consistent.Wall
	sets := slices.Clone(life.Sets[:k])
	ids := identities(participant.ParticipantID)
	for i := range sets {
		sealed := ids
		sets[i].Identities = &sealed
	}
	last := sets[k-1]
	lag := sets[max(0, k-1-r.IntN(4))] // the copy is made a few hours later
	rehearsed := now.Add(-time.Duration(r.IntN(30)) * day)
	o := check.Observations{
		Node:       next.Node,
		Repository: holdfast.Known(check.Repository{Name: "r", Sets: sets}),
		Drills:     holdfast.Known([]record.Drill{{Set: last.ID, At: rehearsed, Verdict: holdfast.Holds}}),
		Disproofs:  holdfast.Known([]record.Disproof(nil)),
		KeyTests:   holdfast.Known([]record.KeyTest{{Set: sets[0].ID, At: rehearsed, Content: ids.Content}}),
		Live:       map[holdfast.ComponentName]holdfast.Observed[observed.Database]{"validator": live(0), "participant": live(1)},
		Identities: holdfast.Known(ids),
		App:        holdfast.Known(observed.App{Active: true, Version: "0.6.11"}),
		Scans:      scans(life, participant, now, r),
		Admin:      holdfast.Known(observed.Participant{ID: participant.ParticipantID, Initialized: true, Parties: holdfast.Known([]observed.Party{{ID: "p", Participants: 1}})}),
		Restore:    holdfast.Known(""),
		Metrics:    holdfast.Known(observed.Metrics{LastSequenced: now.Add(-time.Duration(r.IntN(30)) * time.Minute)}),
		Data:       holdfast.Known(holdfast.Finding{Verdict: holdfast.Holds, Evidence: "in volume data"}),
		Alive:      holdfast.Known(holdfast.Finding{Verdict: holdfast.Holds, Evidence: "database participant-4 has participant"}),
		Copies:     holdfast.Known([]check.Copy{{Where: "c", Sets: []check.CopiedSet{{ID: lag.ID, State: holdfast.Proven, Ended: lag.Ended.Wall}}}}),
		Beside:     holdfast.Known([]string{}),
		Locks:      holdfast.Known(check.Locks{Where: "/backups"}),
		Provider:   holdfast.Known([]check.Instance{}),
		Declared:   check.Declared{Retention: []check.Retention{{SV: check.EverySV, Keeps: 30 * day, Source: "declared"}}, NoPruning: participant.Pruning == nil},
	}
	return o, now
}

func identities(id string) holdfast.IdentityFacts {
	return holdfast.IdentityFacts{ID: "PAR::" + id, Content: "c", SealedFile: "identities/participant.json.age", Recipients: []string{"age1x"},
		Keys:   []holdfast.IdentityKey{{Fingerprint: "1220"}},
		Checks: []holdfast.IdentityCheck{{Code: "same_participant", Verdict: holdfast.Holds}, {Code: "keys_current", Verdict: holdfast.Holds}}}
}

// scans are those of three super validators: the serial that the node is on,
// and those whose upgrade was less than 30 days ago.
func scans(life history.Life, p *holdfast.ParticipantFacts, now time.Time, r *rand.Rand) []observed.Scan {
	serial, _ := p.ActiveSerial()
	served := []int{serial}
	for _, e := range life.Events {
		var to int
		if n, _ := fmt.Sscanf(e.What, "logical synchronizer upgrade to serial %d", &to); n == 1 && !e.At.After(now) && now.Sub(e.At) < 30*day && to <= serial {
			served = append(served, to-1)
		}
	}
	var out []observed.Scan
	coming := observed.Upgrade{} // the next upgrade is announced a week before
	for _, e := range life.Events {
		var to int
		if n, _ := fmt.Sscanf(e.What, "logical synchronizer upgrade to serial %d", &to); n == 1 && e.At.After(now) && e.At.Sub(now) < 7*day && to == serial+1 {
			coming = observed.Upgrade{At: e.At, Successor: fmt.Sprintf("global::1220::35-%d", to)}
		}
	}
	for i := range 3 {
		v := observed.Scan{Upgrade: holdfast.Known(coming), URL: fmt.Sprintf("https://scan-%d", i), Clock: holdfast.Known(time.Second), Serial: holdfast.Known(serial)}
		var list []observed.Sequencer
		for _, n := range served {
			for sv := range 3 {
				list = append(list, observed.Sequencer{SV: fmt.Sprint("SV-", sv), Serial: n, URL: fmt.Sprintf("https://sequencer-%d-%d", n, sv), Answers: true})
			}
		}
		v.Sequencers = holdfast.Known(list)
		out = append(out, v)
	}
	odd := &out[r.IntN(3)]
	switch r.IntN(5) {
	case 0: // a liar
		odd.Serial = holdfast.Known(serial + 1)
		odd.Sequencers = holdfast.Known([]observed.Sequencer{{SV: "SV-0", Serial: serial + 1, URL: "https://nowhere"}})
	case 1: // one that limits
		odd.Serial, odd.Sequencers, odd.Clock = holdfast.Unknown[int]("429"), holdfast.Unknown[[]observed.Sequencer]("429"), holdfast.Unknown[time.Duration]("429")
	case 2: // one whose clock is wrong
		odd.Clock = holdfast.Known(-time.Hour)
	}
	return out
}
