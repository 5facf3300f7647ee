package storybook

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/content"
	histories "holdfast/history"
	"holdfast/loss"
	"holdfast/record"
	"holdfast/web"
)

const (
	hour = time.Hour
	day  = 24 * hour
)

// history are sets every four hours, the newest 42 minutes ago.
func history(n int) []histories.Set {
	out := make([]histories.Set, n)
	newest := time.Date(2026, 11, 26, 12, 30, 0, 0, time.UTC)
	for i := range out {
		began := newest.Add(-4 * hour * time.Duration(n-1-i))
		bytes := int64(11<<30) + int64(i)*24<<20
		s := histories.Set{
			Set: record.Set{
				ID: holdfast.NewSetID(began, [4]byte{0xb1, 0x0c, byte(i >> 8), byte(i)}), Node: "validator-zrh-1", State: holdfast.Proven,
				Began: began, Ended: began.Add(124 * time.Second), Bytes: bytes / 2, Files: 812,
				Decision: &record.Decision{Keep: true, Reasons: []string{"within 3d of the newest", "the newest of day " + began.Format(time.DateOnly) + ", 1 of 14"}},
				Copies:   []string{"s3:backup-zrh/holdfast"},
			},
			Databases: bytes,
			Marks:     map[string]string{"schema version of validator": "63"},
		}
		if i > n-40 {
			s.Marks["schema version of validator"] = "64"
		}
		switch {
		case i == n-1:
			s.Copies = nil
		case i == n-20:
			s.State = holdfast.Unproven
		case i%42 == 10:
			s.Drilled = holdfast.Holds
		}
		if i == n-58 {
			s.Pinned = &record.Pin{Set: s.ID, Node: s.Node, Reason: "before the upgrade to 0.6.5", Until: Now.AddDate(0, 2, 0), Made: began, By: "ada"}
		}
		out[i] = s
	}
	if n > 100 { // an afternoon without sets
		out = slices.Delete(out, n-90, n-87)
	}
	return out
}

func goodReports(name holdfast.NodeName, n int) web.Reports { return reportsOf(name, history(n), Now) }

func reportsOf(name holdfast.NodeName, sets []histories.Set, now time.Time) web.Reports {
	r := web.Reports{At: Now.Add(-3 * time.Minute), Check: judged(name, nil)}
	stored := int64(0)
	for _, s := range sets {
		s.Node = name
		r.Sets = append(r.Sets, s.Set)
		stored = s.Databases * 3
		if s.Drilled != "" {
			r.Drills = append(r.Drills, record.Drill{
				Set: s.ID, Node: name, At: s.Ended.Add(hour), Verdict: s.Drilled, Restore: 14 * time.Minute, Bytes: s.Databases,
				Host: "drill-1", Isolated: holdfast.Holds, Holdfast: "0.9.0",
			})
		}
		if s.Pinned != nil {
			r.Pins = append(r.Pins, *s.Pinned)
		}
	}
	r.History = histories.Make(sets, now, histories.Options{Stored: stored, Price: histories.Price{PerGiBMonth: 0.023, Currency: "USD"}})
	r.Next = []web.Due{
		{Task: "check", At: Now.Add(48 * time.Minute), Why: "every 1h"},
		{Task: "backup", At: Now.Add(3*hour + 18*time.Minute), Why: "every 4h"},
		{Task: "verification", At: Now.Add(9 * hour), Why: "every 24h"},
		{Task: "drill", At: Now.Add(4*day + 2*hour), Why: "every 168h"},
	}
	for i, what := range []string{
		"opened the identities of set", "pinned until 2027-01-26 set", "dropped set", "restored set",
	} {
		id := holdfast.NewSetID(Now.AddDate(0, 0, -3*i-2), [4]byte{1, 2, 3, byte(i)})
		r.Activity = append(r.Activity, web.Activity{At: Now.AddDate(0, 0, -3*i), Who: "ada@validator-zrh-1", What: what, Set: id, Audit: true})
	}
	return r
}

// verdict is what a story changes about a condition.
type verdict struct {
	is       holdfast.Verdict
	evidence string
	cause    check.Code
}

// seen is what a good node shows.
var seen = map[check.Code]string{
	check.RecoveryRoute:           "route one, a set: open, with set 20261126T123000Z-b10c00b3. Route two, the identities: open",
	check.IdentitiesBackedUp:      "set 20261126T123000Z-b10c00b3 holds the identities that the validator app exports now",
	check.PostgresCadence:         "the newest proven set is 42m old; one is due every 4h",
	check.SnapshotOrdering:        "all 180 sets: the validator app's capture ended before the participant's began",
	check.RestorePointRetained:    "the newest proven set reaches 2026-11-26 12:30:08; the shortest retention is 30d",
	check.Acknowledgement:         "Digital-Asset-2 keeps 30d (declared: operators channel, 2026-11-02): 29d21h left",
	check.RestoreProven:           "set 20261122T083000Z-b10c009a was restored by a drill 4d ago",
	check.IdentitiesMatchDatabase: "the identities are those of PAR::zrh-1::1220aaaabbbb" + strings.Repeat("c", 56),
}

// judged is a report in which everything holds but what a story changes.
func judged(name holdfast.NodeName, changed map[check.Code]verdict) *check.Report {
	left, kept := 29*day+21*hour, 30*day
	acked, ends := Now.Add(-3*hour), Now.Add(left)
	from, to, replay := Now.Add(-42*time.Minute), Now, 42*time.Minute
	newest := history(180)[176]
	r := check.Report{
		Node: name, At: Now.Add(-12 * time.Minute), Verdict: holdfast.Holds,
		Routes: []check.Route{
			{
				Name: "set", Title: "Restore a set", Verdict: holdfast.Holds, Evidence: "open, with set " + string(newest.ID), Set: newest.ID,
				Loses: "What the databases changed since the set was taken, unless the network still replays it.", Command: "holdfast restore latest",
			},
			{
				Name: "identities", Title: "Onboard again with the identities", Verdict: holdfast.Holds,
				Evidence: "open, with the identities in set " + string(newest.ID), Set: newest.ID,
				Loses: "Everything but party ids, Canton Coin and name entries: other contracts, the transaction history, wallet " +
					"users, and parties hosted on several participants or with keys of their own.", Command: "holdfast reonboard",
			},
		},
		Runways: []check.Runway{
			{SV: "Digital-Asset-2", Retention: &kept, Source: "declared: operators channel, 2026-11-02", Acked: &acked, Left: &left, Ends: &ends},
			{SV: "Cumberland-1", Source: "unknown", Acked: &acked},
		},
		Loss: &check.Loss{
			Set: newest.ID, Taken: newest.Began, Age: 42 * time.Minute, From: &from, To: &to, Replay: &replay,
			Estimate: 14 * time.Minute, Complete: holdfast.Holds, Unknown: []string{},
			Losses: []loss.Loss{
				{Kind: loss.Replayed, What: "participant: 312 offsets of the ledger, replayed by the network"},
				{Kind: loss.User, What: "validator: wallet user carol, onboarded since", Do: "Onboard wallet user carol again, with the same party: the participant replays the party."},
			},
			Steps: []string{
				"Make sure that the lost node is stopped and stays stopped: two running copies of one identity destroy both, even without errors.",
				"`holdfast restore latest` shows the plan, `--yes` applies it. Start the participant first, then the validator app, with the same party hint, identifier and migration id as before.",
				"Wait until the validator app is ready and has caught up: its metric splice_store_last_seen_record_time_ms is close to now.",
				"Onboard wallet user carol again, with the same party: the participant replays the party.",
				"Restart your own applications from a backup older than the participant's: ledger offsets after the restore point change.",
				"Watch ACS commitments with the other participants for a day, and take a backup: `holdfast backup`.",
			},
		},
	}
	for _, e := range check.Catalogue() {
		c := check.Condition{Code: e.Code, Title: e.Title, Verdict: holdfast.Holds, Evidence: seen[e.Code]}
		if c.Evidence == "" {
			c.Evidence = "observed 12 minutes ago, and as it should be"
		}
		if v, ok := changed[e.Code]; ok {
			c.Verdict, c.Evidence, c.SilencedBy, c.Next = v.is, v.evidence, v.cause, e.Next
			if v.is == holdfast.Violated {
				c.Consequence = e.Consequence
			}
		}
		r.Conditions = append(r.Conditions, c)
	}
	r.Verdict = check.Verdict(r.Conditions)
	return &r
}

// setReport is a set with plausible tables.
func setReport(r web.Reports, id holdfast.SetID) (web.SetReport, error) {
	i := slices.IndexFunc(r.Sets, func(s record.Set) bool { return s.ID == id })
	if i < 0 {
		return web.SetReport{}, &holdfast.Problem{
			Class: holdfast.Usage, What: fmt.Sprintf("there is no set %q", id), Do: "`holdfast list` shows the sets.",
		}
	}
	before := manifestOf(r.Sets[max(0, i-1)], 0)
	out := web.NewSetReport(manifestOf(r.Sets[i], 1), &before)
	out.Stored = r.Sets[i]
	for _, d := range r.Drills {
		if d.Set == id {
			out.Drills = append(out.Drills, d)
		}
	}
	return out, nil
}

func manifestOf(s record.Set, later int64) holdfast.Set {
	end, ingested := 18_204_511+later*300, 18_204_499+later*300
	id := "zrh-1::1220" + strings.Repeat("ab", 32)
	at := func(d time.Duration) holdfast.Moment { return holdfast.Moment{Wall: s.Began.Add(d), Since: d} }
	appBegan, began := time.Second, 11*time.Second
	if s.State == holdfast.Misordered {
		appBegan, began = 11*time.Second, time.Second
		ingested = end + 40
	}
	users := []string{"administrator", "alice", "bob", "carol"}[:3+later]
	server := holdfast.Server{Version: "15.18 (Debian 15.18-0+deb12u1)", Number: 150018}
	set := holdfast.Set{
		Schema: holdfast.ManifestSchema, ID: s.ID, State: s.State, Holdfast: "0.9.0", Host: "zrh-backup-1", Attempt: 1,
		Node: holdfast.Node{Name: s.Node, Components: []holdfast.Component{
			{Name: "validator", Kind: holdfast.Validator}, {Name: "participant", Kind: holdfast.Participant},
		}},
		Began: at(0), Ended: at(s.Ended.Sub(s.Began)),
		Captures: []holdfast.Capture{
			{
				Method: holdfast.Dump, Began: at(appBegan), Consistent: at(appBegan), Ended: at(appBegan + 9*time.Second), Server: server, Bytes: 612 << 20,
				Components: []holdfast.Captured{{
					Component: "validator", Kind: holdfast.Validator, Database: database("validator", 700<<20),
					Facts: holdfast.Facts{Schema: "validator", Migrations: "64", Validator: &holdfast.SpliceFacts{
						MigrationID: 1, Users: users,
						Stores: []holdfast.Store{{Name: "DbValidatorStore", Participant: "PAR::" + id, MigrationID: 1, Raw: "1", Offset: &ingested, Current: true}},
					}},
				}},
				Content: rows("validator.user_wallet_acs_store", "validator.validator_acs_store", "validator.txlog_store"),
			},
			{
				Method: holdfast.Dump, Began: at(began), Consistent: at(began), Ended: at(began + 90*time.Second), Server: server, Bytes: 11 << 30,
				Components: []holdfast.Captured{{
					Component: "participant", Kind: holdfast.Participant, Database: database("participant", 12<<30),
					Facts: holdfast.Facts{Schema: "participant", Migrations: "9", Participant: &holdfast.ParticipantFacts{ParticipantID: id, LedgerEnd: &end}},
				}},
				Content: rows("participant.lapi_events_create", "participant.par_contracts", "participant.lapi_update_meta",
					"participant.common_topology_transactions", "participant.par_command_deduplication", "participant.lapi_events_consuming",
					"participant.par_requests", "participant.lapi_parties", "participant.common_crypto_private_keys", "participant.lapi_users",
					"participant.par_daml_packages"),
			},
		},
		Identities: &holdfast.IdentityFacts{
			ID: "PAR::" + id, Content: strings.Repeat("5e", 32), SealedFile: "identities/participant.json.age",
			Keys: slices.Repeat([]holdfast.IdentityKey{{Purpose: "signing"}}, 4), Recipients: []string{"age1..."},
		},
	}
	state := set.State
	set.Prove()
	if state != holdfast.Proven { // the story says so
		set.State = state
	}
	return set
}

func database(name string, bytes int64) holdfast.Database {
	return holdfast.Database{
		Name: name, Owner: "cnadmin", Encoding: "UTF8", Collate: "C", CType: "C", Provider: "libc", Bytes: bytes,
	}
}

// rows are tables that become smaller one after the other.
func rows(names ...string) content.Rows {
	var out content.Rows
	for i, name := range names {
		schema, table, _ := strings.Cut(name, ".")
		bytes := int64(4<<30) >> (2 * i)
		out.Tables = append(out.Tables, content.Table{
			Schema: schema, Name: table, Format: "binary", Rows: bytes / 213, Bytes: bytes,
			Segments: []content.Segment{{File: name, Rows: bytes / 213, Bytes: bytes}},
		})
	}
	return out
}
