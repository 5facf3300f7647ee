package compose

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/event"
)

// The participant's own word counts where it gives one; a wrong one keeps the
// validator app down.
func TestTheParticipantIsAskedWhoItIs(t *testing.T) {
	const id = "alice-1::1220ab"
	for _, c := range []struct {
		name  string
		asked func(context.Context) (string, error)
		class holdfast.Class
		says  string
	}{
		{"itself", func(context.Context) (string, error) { return id, nil }, "", "says that it is " + id},
		{"another", func(context.Context) (string, error) { return "bob-1::1220cd", nil }, holdfast.Refused, "runs with identity bob-1::1220cd"},
		{"nobody", func(context.Context) (string, error) { return "", nil }, holdfast.Refused, "runs with identity none"},
		{"out of reach", func(context.Context) (string, error) { return "", errors.New("connection refused") }, "", "did not say who it is (connection refused)"},
		{"not asked", nil, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var told []string
			clock := time.Unix(0, 0)
			p := Programs{Asked: c.asked, Now: func() time.Time { clock = clock.Add(askedFor/2 + time.Second); return clock }}
			err := p.confirm(t.Context(), id, func(e event.Event) { told = append(told, e.String()) })
			if c.class == "" && err != nil || c.class != "" && holdfast.ClassOf(err) != c.class {
				t.Fatalf("got %v", err)
			}
			if err != nil {
				told = append(told, err.Error())
			}
			if all := strings.Join(told, "\n"); !strings.Contains(all, c.says) {
				t.Errorf("got %q, want %q in it", all, c.says)
			}
		})
	}
}
