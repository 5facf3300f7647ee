package web

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"holdfast"
	"holdfast/check"
	"holdfast/record"
)

// page is what every screen is rendered with.
type page struct {
	Title   string
	Node    holdfast.NodeName // "" where it is about no node
	Notice  string            // what was just started
	Body    any
	Reports Reports

	// What show adds.
	Screen, Version string
	Now             time.Time
	Who             string
	Role            Role
	Open, Several   bool
}

// Acts reports whether who looks may also start something.
func (p page) Acts() bool { return p.Role == Operator }

// pages serves the screens.
func (s *site) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.asViewer(s.nodes))
	for path, fill := range map[string]func(Node, *http.Request) page{
		"/{$}":        overviewPage,
		"/timeline":   s.timelinePage,
		"/recovery":   recoveryPage,
		"/conditions": conditionsPage,
		"/activity":   activityPage,
		"/growth":     growthPage,
	} {
		mux.HandleFunc("GET /nodes/{node}"+path, s.asViewer(s.ofNode(fill)))
	}
	mux.HandleFunc("GET /nodes/{node}/sets/{set}", s.asViewer(s.setPage))
	mux.HandleFunc("GET /nodes/{node}/live", s.asViewer(s.live))
	mux.HandleFunc("GET /", s.asViewer(func(w http.ResponseWriter, r *http.Request) {
		s.refuse(w, r, http.StatusNotFound, "there is no such page")
	}))
}

// ofNode shows a screen of the node that the path names.
func (s *site) ofNode(fill func(Node, *http.Request) page) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, ok := s.node(r)
		if !ok {
			s.refuse(w, r, http.StatusNotFound, "this daemon has no node "+r.PathValue("node"))
			return
		}
		p := fill(n, r)
		p.Node, p.Notice = n.Name, started[r.FormValue("started")]
		s.show(w, r, http.StatusOK, p.Screen, p)
	}
}

// nodeLine is a node among several.
type nodeLine struct {
	Node   holdfast.NodeName
	Answer answerLine
	Wrong  int
	Worst  *check.Condition
	Newest *record.Set
	Task   string
}

// nodes shows one line for each node, the worst first; of a single node its own
// overview.
func (s *site) nodes(w http.ResponseWriter, r *http.Request) {
	if len(s.Nodes) == 1 {
		http.Redirect(w, r, "/nodes/"+string(s.Nodes[0].Name)+"/", http.StatusSeeOther)
		return
	}
	var lines []nodeLine
	for _, n := range s.Nodes {
		reports := n.Reports()
		line := nodeLine{
			Node: n.Name, Answer: answerOf(reports.Check), Newest: newestProven(reports.Sets), Task: n.Live.State().Task,
		}
		alarms := alarmsOf(reports.Check)
		if line.Wrong = len(alarms); line.Wrong > 0 {
			line.Worst = &alarms[0]
		}
		lines = append(lines, line)
	}
	slices.SortStableFunc(lines, func(a, b nodeLine) int {
		return cmp.Or(badness(b.Answer.Verdict)-badness(a.Answer.Verdict), b.Wrong-a.Wrong, cmp.Compare(a.Node, b.Node))
	})
	s.show(w, r, http.StatusOK, "nodes", page{Title: "Nodes", Body: lines})
}

func badness(v holdfast.Verdict) int {
	return map[holdfast.Verdict]int{holdfast.Violated: 2, holdfast.CannotTell: 1}[v]
}

// answerLine answers whether the node can come back, and how.
type answerLine struct {
	Verdict holdfast.Verdict
	Says    string
	Route   *check.Route // the first that is open, or else may be
}

// answerOf puts the judgement of the routes into words.
func answerOf(r *check.Report) answerLine {
	if r == nil {
		return answerLine{Verdict: holdfast.CannotTell, Says: "Not judged yet"}
	}
	a := answerLine{Verdict: holdfast.CannotTell}
	for _, c := range r.Conditions {
		if c.Code == check.RecoveryRoute {
			a.Verdict = c.Verdict
		}
	}
	a.Says = map[holdfast.Verdict]string{
		holdfast.Holds:      "Yes, this node can come back",
		holdfast.Violated:   "No, this node cannot come back",
		holdfast.CannotTell: "Cannot tell whether this node can come back",
	}[a.Verdict]
	for _, wanted := range []holdfast.Verdict{holdfast.Holds, holdfast.CannotTell} {
		for i, route := range r.Routes {
			if a.Route == nil && route.Verdict == wanted {
				a.Route = &r.Routes[i]
			}
		}
	}
	return a
}

// alarmsOf are the conditions to act on, the violated ones first.
func alarmsOf(r *check.Report) (out []check.Condition) {
	if r == nil {
		return nil
	}
	for _, v := range []holdfast.Verdict{holdfast.Violated, holdfast.CannotTell} {
		for _, c := range r.Conditions {
			if c.Verdict == v && c.Alarms() {
				out = append(out, c)
			}
		}
	}
	return out
}

func newestProven(sets []record.Set) *record.Set {
	for _, s := range slices.Backward(sets) {
		if s.State == holdfast.Proven {
			return &s
		}
	}
	return nil
}

// overview is the first screen of a node.
type overview struct {
	Answer  answerLine
	Newest  *record.Set
	Runway  *check.Runway // that ends first
	Drill   *record.Drill
	Next    *Due
	Wrong   []check.Condition
	Holding int
	Days    []dayRow // oldest first
	Live    liveView
	Actions Actions
}

func overviewPage(n Node, _ *http.Request) page {
	r := n.Reports()
	o := overview{
		Answer: answerOf(r.Check), Newest: newestProven(r.Sets), Wrong: alarmsOf(r.Check), Days: dayRows(r),
		Live: liveOf(n), Actions: n.Actions,
	}
	slices.Reverse(o.Days)
	if r.Check != nil {
		if len(r.Check.Runways) > 0 && r.Check.Runways[0].Left != nil {
			o.Runway = &r.Check.Runways[0]
		}
		for _, c := range r.Check.Conditions {
			if c.Verdict == holdfast.Holds {
				o.Holding++
			}
		}
	}
	o.Drill = newestDrill(r.Drills)
	if len(r.Next) > 0 {
		o.Next = &r.Next[0]
	}
	return page{Title: "Overview", Screen: "overview", Body: o, Reports: r}
}

func newestDrill(drills []record.Drill) (newest *record.Drill) {
	for i, d := range drills {
		if newest == nil || d.At.After(newest.At) {
			newest = &drills[i]
		}
	}
	return newest
}

// perPage is how many sets a list shows.
const perPage = 30

// timeline is the screen of the last thirty days, and of the list of sets.
type timeline struct {
	Days         []dayRow
	List         []record.Set // newest first
	Page         int
	Newer, Older int // pages, 0 for none
	Total        int
}

func (s *site) timelinePage(n Node, r *http.Request) page {
	reports := n.Reports()
	t := timeline{Days: dayRows(reports), Total: len(reports.Sets)}
	last := max(1, (t.Total+perPage-1)/perPage)
	t.Page, _ = strconv.Atoi(r.FormValue("page"))
	t.Page = min(max(t.Page, 1), last)
	t.Newer = t.Page - 1
	if t.Page < last {
		t.Older = t.Page + 1
	}
	end := t.Total - (t.Page-1)*perPage
	t.List = slices.Clone(reports.Sets[max(0, end-perPage):max(0, end)])
	slices.Reverse(t.List)
	return page{Title: "Timeline", Screen: "timeline", Body: t, Reports: reports}
}

func recoveryPage(n Node, _ *http.Request) page {
	r := n.Reports()
	return page{Title: "Recovery", Screen: "recovery", Reports: r, Body: struct {
		Answer answerLine
		Drill  *record.Drill
	}{answerOf(r.Check), newestDrill(r.Drills)}}
}

// conditionGroup are the conditions with one verdict.
type conditionGroup struct {
	Verdict holdfast.Verdict
	Title   string
	List    []check.Condition
}

func conditionsPage(n Node, _ *http.Request) page {
	r := n.Reports()
	groups := []conditionGroup{
		{Verdict: holdfast.Violated, Title: "Violated"}, {Verdict: holdfast.CannotTell, Title: "Cannot tell"},
		{Verdict: holdfast.Holds, Title: "Holds"},
	}
	if r.Check != nil {
		for _, c := range r.Check.Conditions {
			for i := range groups {
				if groups[i].Verdict == c.Verdict {
					groups[i].List = append(groups[i].List, c)
				}
			}
		}
	}
	return page{Title: "Conditions", Screen: "conditions", Body: groups, Reports: r}
}

func activityPage(n Node, _ *http.Request) page {
	return page{Title: "Activity", Screen: "activity", Reports: n.Reports(), Body: liveOf(n)}
}

func growthPage(n Node, _ *http.Request) page {
	r := n.Reports()
	return page{Title: "Size and growth", Screen: "growth", Reports: r, Body: chartOf(r.History.Growth)}
}

// setScreen is the screen of one set.
type setScreen struct {
	SetReport
	Largest []Table
	More    int // tables
	Until   time.Time
	Actions Actions
}

// largest is how many tables a set's screen shows.
const largest = 12

func (s *site) setPage(w http.ResponseWriter, r *http.Request) {
	n, report, ok := s.readSet(w, r)
	if !ok {
		return
	}
	shown := report.Tables[:min(largest, len(report.Tables))]
	s.show(w, r, http.StatusOK, "set", page{
		Title: string(report.Set.ID), Node: n.Name, Reports: n.Reports(), Notice: started[r.FormValue("started")],
		Body: setScreen{
			SetReport: report, Largest: shown, More: len(report.Tables) - len(shown), Actions: n.Actions,
			Until: s.Now().UTC().AddDate(0, 3, 0),
		},
	})
}

// readSet reads the set that the path names, or says why it cannot.
func (s *site) readSet(w http.ResponseWriter, r *http.Request) (n Node, report SetReport, ok bool) {
	if n, ok = s.node(r); !ok {
		s.refuse(w, r, http.StatusNotFound, "this daemon has no node "+r.PathValue("node"))
		return n, report, false
	}
	id := holdfast.SetID(r.PathValue("set"))
	if !id.Valid() {
		s.refuse(w, r, http.StatusNotFound, "a set's ID is like 20261122T154500Z-1f0c9a3e")
		return n, report, false
	}
	report, err := n.Set(r.Context(), id)
	if err != nil {
		s.problem(w, r, statusOf(err), err)
		return n, report, false
	}
	return n, report, true
}
