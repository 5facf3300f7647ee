package restore_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/eventtest"
	"holdfast/restore"
)

// A node that somebody installs is waited for until it serves; one with the keys of
// another participant, or with none, is not.
func TestWatch(t *testing.T) {
	const right = "acme::1220"
	gone := &holdfast.Problem{Class: holdfast.Unreachable, What: "list pods"}
	for _, x := range []struct {
		name  string
		looks []any
		heard string // of the events
		fails string
	}{
		{
			"it comes", []any{
				restore.Seen{Identity: right, Other: []string{"there is no node"}}, gone, gone,
				restore.Seen{Identity: right, Waits: "app has no pod yet"}, restore.Seen{Identity: right},
			},
			"waiting for the programs: there is no node, waiting: list pods, " +
				"waiting until the node serves: app has no pod yet", "",
		},
		{"another", []any{restore.Seen{Identity: "acme::1221"}}, "", "has identity acme::1221, expected is acme::1220"},
		{"none", []any{restore.Seen{}}, "", "has identity none"},
		{"what cannot be looked at", []any{errors.New("forbidden")}, "", "forbidden"},
	} {
		t.Run(x.name, func(t *testing.T) {
			heard := &eventtest.Record{}
			err := restore.Watch(t.Context(), right, restore.Eyes{
				Every: time.Millisecond, Events: heard.Hear,
				Look: func(context.Context) (restore.Seen, error) {
					next := x.looks[0]
					x.looks = x.looks[1:]
					if err, failed := next.(error); failed {
						return restore.Seen{}, err
					}
					return next.(restore.Seen), nil //nolint:forcetypeassert // of the table
				},
			})
			if x.fails == "" && err != nil || x.fails != "" && (err == nil || !strings.Contains(err.Error(), x.fails)) {
				t.Errorf("%v, want %q", err, x.fails)
			}
			var said []string
			for _, e := range heard.All() {
				said = append(said, e.String())
			}
			if got := strings.Join(said, ", "); got != x.heard {
				t.Errorf("heard %q, want %q", got, x.heard)
			}
		})
	}
}
