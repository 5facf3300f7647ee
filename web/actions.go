package web

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
)

// started is what a page says after something was started.
var started = map[string]string{
	"backup": "A backup is requested. It begins as soon as nothing else runs for this node.",
	"verify": "A verification is requested. It begins as soon as nothing else runs for this node.",
	"drill":  "A drill is requested. It begins as soon as nothing else runs for this node.",
	"notice": "A test notice is sent. If none arrives, see Activity.",
	"pin":    "The set is pinned.",
	"unpin":  "The pin is removed.",
}

// actions serves what operators may start.
func (s *site) actions(mux *http.ServeMux) {
	for name, pick := range map[string]func(Actions) func(context.Context, string) error{
		"backup": func(a Actions) func(context.Context, string) error { return a.BackUp },
		"verify": func(a Actions) func(context.Context, string) error { return a.Verify },
		"drill":  func(a Actions) func(context.Context, string) error { return a.Drill },
		"notice": func(a Actions) func(context.Context, string) error { return a.TestNotice },
	} {
		mux.HandleFunc("POST /nodes/{node}/"+name, s.asOperator(s.act(name, "", func(
			ctx context.Context, n Node, r *http.Request, who string,
		) error {
			do := pick(n.Actions)
			if do == nil {
				return cannot(n, name)
			}
			return do(ctx, who)
		})))
	}
	mux.HandleFunc("POST /nodes/{node}/sets/{set}/pin", s.asOperator(s.act("pin", "sets/", s.pin)))
	mux.HandleFunc("POST /nodes/{node}/sets/{set}/unpin", s.asOperator(s.act("unpin", "sets/", s.unpin)))
}

// act does something, and shows the page that it was started from.
func (s *site) act(
	name, below string, do func(ctx context.Context, n Node, r *http.Request, who string) error,
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 16<<10)
		n, ok := s.node(r)
		if !ok {
			s.refuse(w, r, http.StatusNotFound, "this daemon has no node "+r.PathValue("node"))
			return
		}
		who, _ := s.whoever(r)
		if err := do(r.Context(), n, r, who); err != nil {
			s.problem(w, r, statusOf(err), err)
			return
		}
		s.Events.Report(Acted{Node: n.Name, Who: who, What: name, Set: holdfast.SetID(r.PathValue("set"))})
		to := "/nodes/" + string(n.Name) + "/"
		if below != "" {
			to += below + r.PathValue("set")
		}
		http.Redirect(w, r, to+"?started="+name, http.StatusSeeOther)
	}
}

func (s *site) pin(ctx context.Context, n Node, r *http.Request, who string) error {
	pin := record.Pin{
		Node: n.Name, Set: holdfast.SetID(r.PathValue("set")), Reason: strings.TrimSpace(r.FormValue("reason")),
		Made: s.Now().UTC().Truncate(time.Second), By: who,
	}
	until, err := time.Parse(time.DateOnly, r.FormValue("until"))
	pin.Until = until.AddDate(0, 0, 1)
	switch {
	case n.Pin == nil:
		return cannot(n, "pin")
	case !pin.Set.Valid() || pin.Reason == "" || len(pin.Reason) > 500 || err != nil || !pin.HoldsAt(s.Now()):
		return &holdfast.Problem{
			Class: holdfast.Usage, What: "a pin needs a reason, and a day in the future on which it ends",
			Do: "Go back and fill in both.",
		}
	}
	return n.Pin(ctx, pin)
}

func (s *site) unpin(ctx context.Context, n Node, r *http.Request, who string) error {
	id := holdfast.SetID(r.PathValue("set"))
	if n.Unpin == nil || !id.Valid() {
		return cannot(n, "unpin")
	}
	return n.Unpin(ctx, id, who)
}

func cannot(n Node, what string) error {
	return &holdfast.Problem{
		Class: holdfast.Usage, What: fmt.Sprintf("node %s has no %s here", n.Name, what),
		Do: "Type the command on the machine: `holdfast help`.",
	}
}

// Acted is the event of something that was started from a page.
type Acted struct {
	Node holdfast.NodeName
	Who  string
	What string
	Set  holdfast.SetID
}

func (e Acted) String() string {
	if e.Set != "" {
		return fmt.Sprintf("%s: %s of set %s, by %s on the page", e.Node, e.What, e.Set, e.Who)
	}
	return fmt.Sprintf("%s: %s, by %s on the page", e.Node, e.What, e.Who)
}
