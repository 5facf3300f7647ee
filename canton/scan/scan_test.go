package scan_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/canton/scan"
	"holdfast/internal/splicetest"
	"holdfast/observed"
)

func newNetwork(t *testing.T, svs int) *splicetest.Network {
	t.Helper()
	n, err := (&splicetest.Node{Synchronizer: "global-domain::1220" + strings.Repeat("0", 64)}).StartNetwork(svs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func TestEachScanSaysWhatItSays(t *testing.T) {
	n := newNetwork(t, 4)
	n.Upgrade()
	n.Announce(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))
	n.Scans[1].SetFault(splicetest.ScanLies)
	n.Scans[2].SetFault(splicetest.ScanLimits)
	old := 5
	views := scan.Client{Probe: &old}.Ask(t.Context(), n.URLs())
	if len(views) != 4 || views[0].URL != n.Scans[0].URL() {
		t.Fatalf("%+v", views)
	}
	serial, _ := views[0].Serial.Get()
	sequencers, _ := views[0].Sequencers.Get()
	upgrade, _ := views[0].Upgrade.Get()
	version, _ := views[0].Version.Get()
	if serial != 6 || len(sequencers) != 8 || upgrade.At.IsZero() ||
		!strings.HasSuffix(upgrade.Successor, "::35-7") || version != splicetest.SpliceVersion {
		t.Errorf("serial %d, %d sequencers, upgrade %+v, version %s", serial, len(sequencers), upgrade, version)
	}
	for _, s := range sequencers {
		// The second and third super validators' sequencers stand behind a liar's
		// and a limiting address.
		if want := s.Serial == 5 && s.SV == "Example-SV-1"; s.SV == "Example-SV-1" && s.Answers != want {
			t.Errorf("%+v answers: %v, want %v", s, s.Answers, want)
		}
	}
	if lied, _ := views[1].Serial.Get(); lied != 7 {
		t.Errorf("the liar says %d", lied)
	}
	if clock, ok := views[0].Clock.Get(); !ok || clock.Abs() > 10*time.Second {
		t.Errorf("clock %v, %v", clock, ok)
	}
	if why := views[2].Serial.Missing(); !strings.Contains(why, "429") {
		t.Errorf("the limit is not named: %q", why)
	}
	asked := slices.DeleteFunc(n.Scans[2].Requests(), func(path string) bool {
		return strings.HasPrefix(path, "/sequencer/")
	})
	if len(asked) != 1 {
		t.Errorf("a Scan that limits got further requests: %v", asked)
	}
}

func TestScansThatDoNotAnswerSayWhy(t *testing.T) {
	n := newNetwork(t, 3)
	n.Scans[0].SetFault(splicetest.ScanUnavailable)
	n.Scans[1].SetFault(splicetest.ScanOld)
	n.Scans[2].SetFault(splicetest.ScanLate)
	views := scan.Client{}.Ask(t.Context(), append(n.URLs(), "http://127.0.0.1:1", "scan.example.com"))
	for i, want := range map[int]string{0: "503", 3: "refused", 4: "not an http"} {
		if why := views[i].Sequencers.Missing(); !strings.Contains(why, want) {
			t.Errorf("Scan %d: %q does not say %q", i, why, want)
		}
	}
	if why := views[1].Serial.Missing(); !strings.Contains(why, "404") {
		t.Errorf("an old release: %q", why)
	}
	if list, ok := views[1].Sequencers.Get(); !ok || list[0].Serial != -1 {
		t.Errorf("an old release: %+v", list)
	}
	if clock, _ := views[2].Clock.Get(); clock > -59*time.Minute {
		t.Errorf("a clock that is late: %v", clock)
	}
}

// The main network has more super validators than are tried at once.
func TestMoreSequencersThanAreTriedAtOnce(t *testing.T) {
	n := newNetwork(t, 40)
	n.Upgrade()
	old := 5
	answered := make(chan []observed.Scan, 1)
	go func() { answered <- scan.Client{Probe: &old}.Ask(t.Context(), n.URLs()) }()
	select {
	case views := <-answered:
		for _, v := range views {
			list, _ := v.Sequencers.Get()
			for _, s := range list {
				if s.Answers != (s.Serial == old) {
					t.Fatalf("%s: %+v answers: %v", v.URL, s, s.Answers)
				}
			}
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the Scans are still being queried")
	}
}

// A Scan that publishes no end of sequencers is unknown, and one alone neither
// chooses where we connect nor speaks for two.
func TestAScanThatFloods(t *testing.T) {
	var connected atomic.Int32
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { connected.Add(1) }))
	defer trap.Close()
	flood := func(sequencers int, repeat string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch strings.TrimPrefix(r.URL.Path, "/api/scan") {
			case "/v0/active-synchronizer-serial":
				_, _ = io.WriteString(w, `{"serial": 6}`)
			case "/v0/dso-sequencers":
				_, _ = io.WriteString(w, `{"domainSequencers":[{"sequencers":[`)
				for i := range sequencers {
					_, _ = fmt.Fprintf(w, `{"synchronizerSerial":5,"url":"%s/%d"},`, trap.URL, i)
				}
				one := fmt.Sprintf(`{"synchronizerSerial":5,"url":"%s"}`, repeat)
				_, _ = io.WriteString(w, one+","+one+"]}]}")
			default:
				_, _ = io.WriteString(w, "{}")
			}
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	old := 5
	views := scan.Client{Probe: &old}.Ask(t.Context(), []string{
		flood(200_000, trap.URL), flood(2_000, trap.URL), flood(900, trap.URL), flood(0, trap.URL+"/own"),
	})
	for i, want := range []string{"larger than 4 MiB", "2002 sequencers"} {
		if why := views[i].Sequencers.Missing(); !strings.Contains(why, want) {
			t.Errorf("flood %d: %q does not say %q", i, why, want)
		}
	}
	if list, _ := views[2].Sequencers.Get(); len(list) != 901 {
		t.Errorf("a repetition counts: %d sequencers", len(list))
	}
	if n := connected.Load(); n > 0 {
		t.Errorf("%d connections to where one Scan alone leads", n)
	}
}
