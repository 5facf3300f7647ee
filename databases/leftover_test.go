package databases_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/databases"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
	"holdfast/step"
)

// What restores of the first versions have left on operators' servers is
// recognised by its comment, or by its name where it has none, and can be put
// back.
func TestLeftoversOfTheFirstVersions(t *testing.T) {
	server := splicetest.NewServer(t, "")
	const set = "20261122T154500Z-1f0c9a3e"
	for name, comment := range map[string]string{
		"app":                 "",
		"app~before~" + set:   `{"holdfast":"before","database":"app","component":"app","set":"` + set + `","at":"2026-11-22T17:19:51.5Z"}`,
		"app~undone~" + set:   `{"holdfast":"undone","database":"app","component":"app","set":"` + set + `","at":"2026-11-21T17:19:51Z"}`,
		"app~new~" + set:      "",
		"other~before~" + set: `{"holdfast":"before","database":"other","component":"app","set":"` + set + `","at":"2026-11-22T17:19:51Z"}`,
		"app~something":       "somebody's own",
	} {
		sql := fmt.Sprintf(`CREATE DATABASE "%s"`, name)
		if err := server.Exec(t.Context(), "postgres", sql); err != nil {
			t.Fatal(err)
		}
		if comment != "" {
			if err := server.Exec(t.Context(), "postgres", fmt.Sprintf(`COMMENT ON DATABASE "%s" IS '%s'`, name, strings.ReplaceAll(comment, "'", "''"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	info, err := libpq.Parse(server.DSN("app"))
	if err != nil {
		t.Fatal(err)
	}
	p := databases.Target{Now: time.Now, Live: databases.Live{
		Node:      holdfast.Node{Name: "n", Components: []holdfast.Component{{Name: "app", Kind: holdfast.App}}},
		Addresses: map[holdfast.ComponentName]libpq.Address{"app": {Conninfo: info}},
	}}
	list, err := p.Leftovers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	roles := map[step.Role]string{}
	var previous []step.Leftover
	for _, l := range list {
		roles[l.Role] = l.Name
		if l.Role == step.Previous {
			previous = append(previous, l)
		}
	}
	if len(list) != 3 || roles[step.Previous] != "app~before~"+set || roles[step.Undone] != "app~undone~"+set || roles[step.New] != "app~new~"+set {
		t.Fatalf("leftovers are %+v", list)
	}
	back, err := p.Back(t.Context(), previous, time.Now())
	if err != nil || len(back) != 1 {
		t.Fatalf("%+v, %v", back, err)
	}
	if want := "rename app to app~undone2~" + set + ", app~before~" + set + " to app"; back[0].String() != want {
		t.Errorf("the way back is %q, want %q", back[0], want)
	}
	if err := p.Rename(t.Context(), back[0]); err != nil {
		t.Fatal(err)
	}
	// The way back from the way back, and once more: nothing is left to be done.
	forth := step.Reverse([]step.Entry{{Step: back[0], Mark: step.Begun}})
	for _, want := range []int{1, 0} {
		fit, err := p.Fit(t.Context(), forth, false, time.Now())
		if err != nil || len(fit) != want {
			t.Fatalf("%+v, %v", fit, err)
		}
		if err := p.Rename(t.Context(), forth[0]); err != nil {
			t.Fatal(err)
		}
	}
}
