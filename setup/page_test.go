package setup

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast"
	"holdfast/config"
	"holdfast/record"
	"holdfast/repository"
)

// What is started on the page is done: a pin is in the repository, and goes from
// it; what runs long is requested, with who wanted it; a test notice arrives, or
// the page says why not.
func TestActionsOfThePage(t *testing.T) {
	var received, broken atomic.Int64
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		received.Add(1)
		if broken.Load() > 0 {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer hook.Close()
	t.Setenv("HOOK", "generic+"+hook.URL+"/hook")
	s := pageService(t)
	s.conf.Page.Open = true
	s.conf.Notices.To = map[string]config.Notice{"ops": {URL: "env:HOOK"}}
	at, password := s.conf.Repository.Place, holdfast.NewSecret(pagePassword)
	fillSetsAs(t, at, password, 1, holdfast.Proven)
	site, err := page(t.Context(), []*Service{s}, "1")
	if err != nil {
		t.Fatal(err)
	}
	defer s.board.swap(context.WithoutCancel(t.Context()), nil)
	post := func(path, form string, want int) string {
		t.Helper()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/nodes/n/"+path, strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		site.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, w.Body)
		}
		return w.Body.String()
	}

	if _, err := s.past(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := string(s.Status().Stored.Newest.ID)
	pins := func() []record.Pin {
		t.Helper()
		r, err := repository.Open(t.Context(), at, password)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close(t.Context()) }()
		list, err := r.Pins(t.Context(), "n")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	form := url.Values{"reason": {"before the move"}, "until": {"2099-01-31"}}.Encode()
	post("sets/"+set+"/pin", form, http.StatusSeeOther)
	if list := pins(); len(list) != 1 || string(list[0].Set) != set || list[0].Reason != "before the move" || list[0].By != "local" {
		t.Errorf("pinned: %+v", list)
	}
	post("sets/20200101T000000Z-00000000/pin", form, http.StatusNotFound)
	post("sets/"+set+"/unpin", "", http.StatusSeeOther)
	if list := pins(); len(list) > 0 {
		t.Errorf("the pin is removed, and there is %+v", list)
	}

	for path, task := range map[string]string{"backup": backupTask, "verify": verifyTask, "drill": drillTask} {
		post(path, "", http.StatusSeeOther)
		if got := s.wanted(task); got != "requested on the page by local" {
			t.Errorf("the %s is wanted because %q", task, got)
		}
	}
	if len(s.wake) == 0 {
		t.Error("the daemon is not woken")
	}
	s.does(t, verifyTask)
	if _, err := s.past(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.wanted(verifyTask) != "" || s.Status().Stored.Verification.At.IsZero() {
		t.Error("the verification is wanted still, or was not done")
	}

	post("notice", "", http.StatusSeeOther)
	broken.Store(1)
	if said := post("notice", "", http.StatusBadGateway); !strings.Contains(said, "notices to ops: not delivered") {
		t.Errorf("a notice that does not arrive: %s", said)
	}
	if received.Load() < 2 {
		t.Errorf("%d notices arrived", received.Load())
	}
}
