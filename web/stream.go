package web

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"time"

	"holdfast"
)

// liveView is what is being done, as a page shows it.
type liveView struct {
	Node holdfast.NodeName
	State
	Next []Due
	Now  time.Time
}

func liveOf(n Node) liveView {
	return liveView{Node: n.Name, State: n.Live.State(), Next: n.Reports().Next}
}

// At is the view as of a time.
func (v liveView) At(now time.Time) liveView {
	v.Now = now
	return v
}

// The pace of a stream: not faster than one picture in a while, a word in between
// so that proxies keep it open, and an end, after which a browser connects again and
// its session is looked at again.
const (
	pace      = 250 * time.Millisecond
	heartbeat = 20 * time.Second
	longest   = 15 * time.Minute
)

// live sends what is being done, whenever it changes, as server-sent events.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	n, ok := s.node(r)
	if !ok {
		s.refuse(w, r, http.StatusNotFound, "this daemon has no node "+r.PathValue("node"))
		return
	}
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the server's bounds are for requests that end
	_ = out.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx
	changed, stop := n.Live.Watch()
	defer stop()
	end := time.After(longest)
	for {
		if s.sendState(w, n) != nil || out.Flush() != nil {
			return
		}
		select {
		case <-time.After(pace):
		case <-r.Context().Done():
			return
		}
		select {
		case <-changed:
		case <-time.After(heartbeat):
		case <-r.Context().Done():
			return
		case <-end:
			return
		}
	}
}

// sendState sends one event with the picture of now.
func (s *site) sendState(w http.ResponseWriter, n Node) error {
	view := liveOf(n).At(s.Now().UTC())
	var text bytes.Buffer
	if err := s.screens["overview"].ExecuteTemplate(&text, "live", view); err != nil {
		return err
	}
	data := strings.ReplaceAll(strings.TrimSpace(text.String()), "\n", "\ndata: ")
	_, err := fmt.Fprintf(w, "event: state\ndata: %s\n\n", data)
	return err
}
