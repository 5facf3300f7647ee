package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"holdfast"
	"holdfast/docs/schema"
)

// answer is how every report is wrapped, as the commands print it.
type answer struct {
	Schema int    `json:"schema"`
	Kind   string `json:"kind"`
	Value  any    `json:"value"`
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// report is one path of the interface below /api/v1/nodes/{node}.
type report struct {
	path string
	kind string
	of   func(Node) any // nil: there is none yet
}

// reports are all of them. The OpenAPI document lists the same; a test compares.
var reports = []report{
	{"/check", "check", func(n Node) any {
		if c := n.Reports().Check; c != nil {
			return c
		}
		return nil
	}},
	{"/sets", "sets", func(n Node) any { return list(n.Reports().Sets) }},
	{"/history", "history", func(n Node) any { return n.Reports().History }},
	{"/drills", "drills", func(n Node) any { return list(n.Reports().Drills) }},
	{"/pins", "pins", func(n Node) any { return list(n.Reports().Pins) }},
	{"/activity", "activity", func(n Node) any { return list(n.Reports().Activity) }},
	{"/state", "state", func(n Node) any {
		s := n.Live.State()
		s.Work, s.Lines = list(s.Work), list(s.Lines)
		return s
	}},
}

// list is never null in JSON.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// nodeView is a node in the list of nodes.
type nodeView struct {
	Name    holdfast.NodeName `json:"name"`
	Verdict holdfast.Verdict  `json:"verdict"` // whether it can come back
	At      time.Time         `json:"at"`      // when its repository was read
	Problem string            `json:"problem,omitempty"`
	Next    []Due             `json:"next"`
}

// api serves the reports as JSON.
func (s *site) api(mux *http.ServeMux) {
	mux.HandleFunc("GET /api/v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		text, _ := assetFiles.ReadFile("assets/openapi.json")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	mux.HandleFunc("GET /api/v1/schema/{file}", func(w http.ResponseWriter, r *http.Request) {
		text, err := schema.Files.ReadFile(r.PathValue("file"))
		if err != nil {
			s.refuse(w, r, http.StatusNotFound, "there is no such description")
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(text)
	})
	mux.HandleFunc("GET /api/v1/nodes", s.asViewer(func(w http.ResponseWriter, _ *http.Request) {
		views := []nodeView{}
		for _, n := range s.Nodes {
			r := n.Reports()
			v := nodeView{Name: n.Name, Verdict: answerOf(r.Check).Verdict, At: r.At, Next: list(r.Next)}
			if r.Problem != nil {
				v.Problem = s.Hide(r.Problem.Error())
			}
			views = append(views, v)
		}
		writeJSON(w, http.StatusOK, answer{1, "nodes", views})
	}))
	for _, one := range reports {
		mux.HandleFunc("GET /api/v1/nodes/{node}"+one.path, s.asViewer(func(w http.ResponseWriter, r *http.Request) {
			n, ok := s.node(r)
			if !ok {
				s.refuse(w, r, http.StatusNotFound, "this daemon has no node "+r.PathValue("node"))
				return
			}
			value := one.of(n)
			if value == nil {
				s.refuse(w, r, http.StatusNotFound, "there is no such report yet")
				return
			}
			writeJSON(w, http.StatusOK, answer{1, one.kind, value})
		}))
	}
	mux.HandleFunc("GET /api/v1/nodes/{node}/sets/{set}", s.asViewer(func(w http.ResponseWriter, r *http.Request) {
		if _, report, ok := s.readSet(w, r); ok {
			writeJSON(w, http.StatusOK, answer{1, "set-report", report})
		}
	}))
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
