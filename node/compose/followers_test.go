package compose

import (
	"context"
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/step"
)

// accompanied is a node that runs, with a sidecar in the participant's network,
// one in that sidecar's, and a container of its own.
func accompanied() []Container {
	all := running("postgres", "participant", "validator")
	add := func(name string, in ...string) {
		all = append(all, Container{ID: "id of " + name, Name: name, State: "running", Restart: Restart{Name: "always"}, shares: in})
	}
	add("apart")
	add("probe", "participant")
	add("tail", "id of probe")
	return all
}

// acts are the starts, stops and makings of a plan.
func acts(list []step.Step) string {
	var out []string
	for _, s := range list {
		if slices.Contains([]step.Act{step.Start, step.Stop, step.Replace, step.Create}, s.Act) {
			out = append(out, string(s.Act)+" "+s.Name)
		}
	}
	return strings.Join(out, ", ")
}

// A sidecar that lives in the network of a program which is stopped is stopped
// before it and started after it; it is made again where that program is.
func TestSidecarsFollow(t *testing.T) {
	all := accompanied()
	elsewhere := func(name, in string) []Container {
		out := slices.Clone(all)
		for i := range out {
			if out[i].Name == name {
				out[i].ID, out[i].shares = name, []string{in}
			}
		}
		return out
	}
	without := func(names ...string) []Container {
		return slices.DeleteFunc(slices.Clone(all), func(c Container) bool { return slices.Contains(names, c.Name) })
	}
	const stop, start = "stop tail, stop probe, stop validator, stop participant", "start participant, start validator, start probe, start tail"
	for _, c := range []struct {
		name          string
		now, recorded []Container
		other         map[string]string
		before, after string
		refused       string
	}{
		{name: "in place", now: all, before: stop, after: start},
		{
			name: "the participant is made again", now: all, recorded: all, other: map[string]string{"participant": "another database"},
			before: stop + ", replace participant, replace probe, replace tail", after: start,
		},
		{
			name: "the participant is gone", now: without("participant"), recorded: all,
			before: "stop tail, stop probe, stop validator, create participant, replace probe, replace tail", after: start,
		},
		{
			name: "an interrupted restore has made the participant again", now: elsewhere("probe", "of before"), recorded: all,
			before: stop + ", replace probe, replace tail", after: start,
		},
		{
			name: "of a sidecar that the set does not have", now: all, recorded: without("probe", "tail"),
			other: map[string]string{"participant": "another database"}, refused: "container probe lives in container participant",
		},
		{
			name: "what the participant lives in is made first", now: nil, recorded: elsewhere("participant", "id of apart"),
			before: "create apart, create participant, create postgres, create probe, create tail, create validator, start postgres",
			after:  "start apart, start participant, start validator, start probe, start tail",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			recorded := c.recorded
			if recorded == nil {
				recorded = c.now
			}
			of := Bundle{Project: "p"}.again(recorded)
			p := &Programs{Node: NewNode(nil, of), recorded: c.recorded != nil, Set: "set",
				Ready: func(context.Context) error { return nil }}
			s := survey{Programs: p, now: of.again(c.now), other: c.other}
			err := s.programs(t.Context(), nil)
			if err == nil {
				err = s.after()
			}
			if c.refused != "" {
				if holdfast.ClassOf(err) != holdfast.Refused || !strings.Contains(err.Error(), c.refused) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if before, after := acts(s.out.Before), acts(s.out.After); before != c.before || after != c.after {
				t.Errorf("before %s\nwant   %s\nafter  %s\nwant   %s", before, c.before, after, c.after)
			}
		})
	}
}

// An undo that stops the participant does so with its sidecars.
func TestSidecarsFollowAWayBack(t *testing.T) {
	p := &Programs{Node: NewNode(nil, Bundle{Project: "p"})}
	rename := step.Step{Act: step.Rename, Kind: step.Server, Name: "participant", Moves: []step.Move{{From: "a", To: "b"}}}
	list, err := p.among(accompanied()).complete(t.Context(), []step.Step{rename})
	if err != nil {
		t.Fatal(err)
	}
	const want = "stop validator, stop tail, stop probe, stop participant, start participant, start validator, start probe, start tail"
	if got := acts(list); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
