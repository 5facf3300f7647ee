package storybook

import (
	"context"
	"errors"
	"sync"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/event"
	"holdfast/record"
	"holdfast/web"
)

// Story is the pages in one state.
type Story struct {
	Name  string
	Site  web.Site
	Paths []string // the screens that show it, from the root
}

// Now is the time of all stories.
var Now = time.Date(2026, 11, 26, 13, 12, 0, 0, time.UTC)

// every is every screen of a node behind its overview.
var every = []string{"timeline", "recovery", "conditions", "activity", "growth"}

// screens are a node's overview, others by name, and a set that is worth a look.
func screens(node string, set holdfast.SetID, names ...string) []string {
	at := "/nodes/" + node + "/"
	out := []string{at}
	for _, name := range names {
		out = append(out, at+name)
	}
	if set != "" {
		out = append(out, at+"sets/"+string(set))
	}
	return out
}

// Stories are all of them.
func Stories() []Story {
	calm := newNode("validator-zrh-1")
	newest := calm.reports.Sets[len(calm.reports.Sets)-1].ID
	return []Story{
		{"calm", site(calm), screens("validator-zrh-1", newest, every...)},
		{"violated", site(violated()), screens("validator-zrh-1", misorderedSet, "timeline", "recovery", "conditions")},
		{"doubtful", site(doubtful()), screens("validator-zrh-1", newest, "timeline")},
		{"unknown", site(unknown()), screens("validator-zrh-1", "", "recovery")},
		{"fresh", site(fresh()), screens("validator-zrh-1", "", "timeline", "recovery", "growth")},
		{"running", site(running()), screens("validator-zrh-1", "")},
		{"unreachable", site(unreachable()), screens("validator-zrh-1", "")},
		{"many", site(many()), []string{"/nodes/validator-zrh-1/timeline?page=3"}},
		{"several", site(several()...), []string{"/"}},
		{"closed", closed(), []string{"/login"}},
		{"lost", site(calm), []string{"/nowhere"}},
	}
}

// node is a node with its prepared reports.
type node struct {
	web.Node
	reports web.Reports
}

func site(nodes ...node) web.Site {
	s := web.Site{Access: web.Access{Open: true}, Version: "0.9.0", Now: func() time.Time { return Now }}
	for _, n := range nodes {
		n.Node.Reports = func() web.Reports { return n.reports }
		s.Nodes = append(s.Nodes, n.Node)
	}
	return s
}

// newNode is a node with which all is well.
func newNode(name holdfast.NodeName) node {
	done := func(context.Context, string) error { return nil }
	n := node{Node: web.Node{
		Name: name, Live: new(web.Live),
		Actions: web.Actions{
			BackUp: done, Verify: done, Drill: done, TestNotice: done,
			Pin:   func(context.Context, record.Pin) error { return nil },
			Unpin: func(context.Context, holdfast.SetID, string) error { return nil },
		},
	}}
	n.reports = goodReports(name, 180)
	n.Set = func(_ context.Context, id holdfast.SetID) (web.SetReport, error) { return setReport(n.reports, id) }
	hear(n.Live, -40*time.Minute, "set 20261126T123000Z-b10c00b3 is stored: proven, after 2m4s")
	hear(n.Live, -39*time.Minute, "the copy in s3:backup-zrh/holdfast is up to date")
	hear(n.Live, -12*time.Minute, "every condition holds")
	return n
}

func hear(l *web.Live, ago time.Duration, text string) {
	l.Hear(said(text), text, false, Now.Add(ago))
}

type said string

func (s said) String() string { return string(s) }

// misorderedSet is one that is no backup.
const misorderedSet holdfast.SetID = "20261125T163000Z-000000b2"

// violated is a node that cannot come back.
func violated() node {
	n := newNode("validator-zrh-1")
	sets := history(150)
	sets = sets[:len(sets)-5]
	last := &sets[len(sets)-1]
	last.ID, last.State = misorderedSet, holdfast.Misordered
	n.reports = reportsOf("validator-zrh-1", sets, Now)
	n.reports.Check = judged("validator-zrh-1", map[check.Code]verdict{
		check.RecoveryRoute: {holdfast.Violated, "route one, a set: closed: restore_point_within_retained_history. Route two, the " +
			"identities: closed: no set holds identities", ""},
		check.PostgresCadence: {holdfast.Violated, "the newest proven set is 24h42m old; one is due every 4h", ""},
		check.IdentitiesBackedUp: {holdfast.Violated, "no set of this node holds identities: the validator app answered 403",
			""},
		check.RestorePointRetained: {holdfast.Violated, "the newest proven set reaches 2026-10-25 04:10, 32 days ago", ""},
		check.SecondCopy: {holdfast.CannotTell, "missing: the second copy: s3:backup-zrh/holdfast does not answer",
			check.PostgresCadence},
		check.UpgradePrepared: {holdfast.CannotTell, "missing: what two Scans agree on: 1 of 3 answered", ""},
	})
	n.reports.Check.Routes[0].Verdict, n.reports.Check.Routes[0].Evidence = holdfast.Violated,
		"closed: restore_point_within_retained_history"
	n.reports.Check.Routes[1].Verdict, n.reports.Check.Routes[1].Evidence = holdfast.Violated,
		"closed: no set holds identities"
	n.reports.Drills = []record.Drill{{
		Set: sets[20].ID, Node: n.Name, At: Now.AddDate(0, 0, -44), Verdict: holdfast.Violated,
		Found: "table participant.par_contracts has other rows",
	}}
	n.Set = func(_ context.Context, id holdfast.SetID) (web.SetReport, error) { return setReport(n.reports, id) }
	n.Live.Hear(said(""), "capture participant: the server closed the connection unexpectedly", true, Now.Add(-time.Minute))
	return n
}

// doubtful is a node whose newest sets may have rows wrong: they changed without a
// transaction, and the set that found it did not come to its end.
func doubtful() node {
	n := newNode("validator-zrh-1")
	sets := history(180)
	for i := range sets[len(sets)-5:] {
		sets[len(sets)-1-i].InDoubt = []string{record.Disproof{
			Component: "participant", At: Now.Add(-12 * time.Minute),
			Disproof: holdfast.Disproof{Table: `"public"."par_contracts"`, From: 512, ReadAt: Now.Add(-21 * hour)},
		}.String()}
	}
	n.reports = reportsOf("validator-zrh-1", sets, Now)
	n.reports.Check = judged("validator-zrh-1", map[check.Code]verdict{
		check.TakenOverHolds: {holdfast.Violated, `participant: table "public"."par_contracts" changed without a transaction; ` +
			"5 sets in doubt", ""},
	})
	n.Set = func(_ context.Context, id holdfast.SetID) (web.SetReport, error) { return setReport(n.reports, id) }
	return n
}

// unknown is a node of which too little can be seen.
func unknown() node {
	n := newNode("validator-zrh-1")
	missing := "missing: each super validator's sequencer retention: none is declared"
	n.reports.Check = judged("validator-zrh-1", map[check.Code]verdict{
		check.RecoveryRoute: {holdfast.CannotTell, "route one, a set: cannot tell: restore_point_within_retained_history. " +
			"Route two, the identities: no current test shows that a key opens them", check.RestorePointRetained},
		check.RestorePointRetained: {holdfast.CannotTell, missing, ""},
		check.Acknowledgement:      {holdfast.CannotTell, missing, ""},
		check.RecoveryKeyTested:    {holdfast.Violated, "no key was ever tested", ""},
	})
	for i := range n.reports.Check.Routes {
		n.reports.Check.Routes[i].Verdict = holdfast.CannotTell
		n.reports.Check.Routes[i].Evidence = "cannot tell: restore_point_within_retained_history"
		n.reports.Check.Routes[i].Next = "Ask the super validators and declare it in `check.retention`, with the source."
	}
	n.reports.Check.Runways, n.reports.Drills, n.reports.History.Growth.Price = nil, nil, nil
	n.reports.Check.Loss.Unknown = []string{"app: a database of your own: only its app knows its content"}
	n.reports.Check.Loss.Estimate = 0
	return n
}

// fresh is a node of which nothing is known yet.
func fresh() node {
	n := newNode("validator-zrh-1")
	n.Live = new(web.Live)
	n.reports = reportsOf("validator-zrh-1", nil, Now)
	n.reports.Check, n.reports.Activity, n.reports.Drills = nil, nil, nil
	return n
}

// running is a node that is being backed up.
func running() node {
	n := newNode("validator-zrh-1")
	n.Live.Begin("backup", "every 4h", Now.Add(-95*time.Second))
	n.Live.Hear(said(""), "capture validator", false, Now.Add(-94*time.Second))
	n.Live.Hear(said(""), "captured validator: 41 tables, 182340 rows in 9.1s", false, Now.Add(-85*time.Second))
	n.Live.Hear(said(""), "capture participant", false, Now.Add(-84*time.Second))
	n.Live.Hear(event.Bytes{Subject: "capture participant", Done: 7 << 30, Total: 19 << 30}, "", false, Now)
	n.Live.Hear(event.Bytes{Subject: "capture scan", Done: 812 << 20}, "", false, Now)
	return n
}

// unreachable is a node whose repository does not answer any more.
func unreachable() node {
	n := newNode("validator-zrh-1")
	n.reports.At = Now.Add(-26 * time.Minute)
	n.reports.Problem = errors.New("read repository s3:backup-zrh/holdfast: its storage has failed for 1m0s")
	return n
}

// many is a node with two thousand sets.
func many() node {
	n := newNode("validator-zrh-1")
	n.reports = goodReports("validator-zrh-1", 2000)
	return n
}

// several are the nodes of an organization.
func several() []node {
	good, bad, odd, empty := newNode("validator-zrh-2"), violated(), unknown(), fresh()
	bad.Name, odd.Name, empty.Name = "validator-zrh-1", "sv-app-provider-long-name-in-frankfurt-3", "validator-new"
	return []node{good, bad, odd, empty}
}

// closed is a page with a login.
func closed() web.Site {
	s := site(newNode("validator-zrh-1"))
	hash, err := hash()
	if err != nil {
		return s
	}
	s.Access = web.Access{
		URL: "http://127.0.0.1",
		Users: []web.User{
			{Name: "ada", Hash: holdfast.NewSecret(hash), Role: web.Operator},
			{Name: "vic", Hash: holdfast.NewSecret(hash), Role: web.Viewer},
		},
		OIDC: &web.OIDC{Issuer: "http://127.0.0.1:1", ClientID: "holdfast", Claim: "email"},
	}
	return s
}

var hash = sync.OnceValues(func() (string, error) { return web.HashPassword(Password) })

// Password is that of the users of the story with a login.
const Password = "correct horse battery staple"
