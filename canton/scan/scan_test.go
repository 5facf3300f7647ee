package scan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/canton/scan"
	"holdfast/internal/splicetest"
)

func newNetwork(t *testing.T) *splicetest.Network {
	t.Helper()
	n, err := (&splicetest.Node{Synchronizer: "global-domain::1220" + strings.Repeat("0", 64)}).StartNetwork(3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func TestEachScanSaysWhatItSays(t *testing.T) {
	n := newNetwork(t)
	n.Upgrade()
	n.Announce(time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC))
	n.Scans[1].SetFault(splicetest.ScanLies)
	n.Scans[2].SetFault(splicetest.ScanLimits)
	old := 5
	views := scan.Client{Probe: &old}.Ask(t.Context(), n.URLs())
	if len(views) != 3 || views[0].URL != n.Scans[0].URL() {
		t.Fatalf("%+v", views)
	}
	serial, _ := views[0].Serial.Get()
	sequencers, _ := views[0].Sequencers.Get()
	upgrade, _ := views[0].Upgrade.Get()
	version, _ := views[0].Version.Get()
	if serial != 6 || len(sequencers) != 6 || upgrade.At.IsZero() ||
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
	n := newNetwork(t)
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
