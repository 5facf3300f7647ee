package compose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"

	"holdfast"
	"holdfast/step"
)

// follower is a container that lives in namespaces of another one: a sidecar in
// the participant's network. When the other ends, so do they, and the one that
// is started next has new ones: a follower that went on would be cut off.
type follower struct {
	Container
	leader string // the name of the other
}

// namespaces are the containers, by id or by name, whose network, processes or
// memory a container shares.
func namespaces(h *container.HostConfig) (out []string) {
	for _, mode := range []string{string(h.NetworkMode), string(h.PidMode), string(h.IpcMode)} {
		if other, ok := strings.CutPrefix(mode, "container:"); ok && !slices.Contains(out, other) {
			out = append(out, other)
		}
	}
	return out
}

// sharesWith reports whether a container lives in namespaces of another one.
func (c Container) sharesWith(leader Container) bool {
	return slices.Contains(c.shares, leader.ID) || slices.Contains(c.shares, leader.Name)
}

// followersOf are the containers among all that follow one of the leaders, and
// those that follow them in turn. Each comes after the one that it follows.
func followersOf(all []Container, leaders ...Container) (out []follower) {
	for i := 0; i < len(leaders); i++ {
		for _, c := range all {
			known := slices.ContainsFunc(leaders, func(o Container) bool { return o.Name == c.Name })
			if !known && c.sharesWith(leaders[i]) {
				out, leaders = append(out, follower{c, leaders[i].Name}), append(leaders, c)
			}
		}
	}
	return out
}

// follow finds the followers of the programs that the restore stops or makes: of
// those that run now, and of those that were recorded where the containers that
// are there follow one that is gone.
func (s *survey) follow() []follower {
	var now, recorded []Container
	for _, role := range []string{"postgres", "participant", "validator"} {
		c := s.now.role(role)
		if role == "postgres" && c != nil && c.Up() && s.keep == nil && s.other[role] == "" {
			continue // it goes on
		}
		if c != nil {
			now = append(now, *c)
		}
		if was := s.Node.role(role); was != nil && s.recorded {
			recorded = append(recorded, *was)
		}
	}
	others := slices.DeleteFunc(slices.Clone(s.now.All), func(c Container) bool { return s.now.roleOf(c.ID) == "postgres" })
	out := followersOf(others, now...)
	for _, f := range followersOf(s.Node.All, recorded...) {
		i := slices.IndexFunc(s.now.All, func(c Container) bool { return c.Name == f.Name })
		known := slices.ContainsFunc(out, func(o follower) bool { return o.Name == f.Name })
		if i >= 0 && !known && s.now.roleOf(s.now.All[i].ID) != "postgres" {
			out = append(out, follower{s.now.All[i], f.leader})
		}
	}
	return out
}

// stopFollowers has the followers stay down while the others are: the last one
// first.
func (s *survey) stopFollowers() {
	s.clients = slices.DeleteFunc(s.clients, func(c Container) bool {
		return c.Up() && slices.ContainsFunc(s.followers, func(f follower) bool { return f.Name == c.Name })
	})
	for _, f := range slices.Backward(s.followers) {
		if s.now.roleOf(f.ID) != "" {
			continue // it is stopped as what it is
		}
		for _, o := range stopped(f.Container, "") {
			o.Why = "it lives in container " + f.leader
			s.add(o)
		}
	}
}

// replaceFollowers has those made again whose leader is: they would look for one
// that is gone.
func (s *survey) replaceFollowers() error {
	for _, f := range s.followers {
		i := slices.IndexFunc(s.now.All, func(c Container) bool { return c.Name == f.leader })
		if !s.planned(f.leader) && i >= 0 && f.sharesWith(s.now.All[i]) {
			continue
		}
		if !s.recorded || !slices.ContainsFunc(s.Node.All, func(c Container) bool { return c.Name == f.Name }) {
			return &holdfast.Problem{
				Class: holdfast.Refused,
				What:  fmt.Sprintf("container %s lives in container %s, which is made again, and the set did not record it", f.Name, f.leader),
				Why:   "It would look for the old one, and could not be started.",
				Do:    "Remove it, `docker rm -f " + f.Name + "`, restore again, and make it again from its compose file.",
			}
		}
		s.add(step.Step{
			Act: step.Replace, Kind: step.Container, Name: f.Name, As: s.freeName(f.Name),
			Why: "container " + f.leader + ", in which it lives, is made again",
		})
	}
	return nil
}

// startFollowers starts again what runs now.
func (s *survey) startFollowers() {
	for _, f := range s.followers {
		if f.Up() && s.now.roleOf(f.ID) == "" {
			s.begin(&s.out.After, step.Step{Act: step.Start, Kind: step.Container, Name: f.Name})
		}
	}
}

// startLeaders starts what a container lives in, where that is made as well: it
// has to run before.
func (s *survey) startLeaders(list *[]step.Step, name string) {
	i := slices.IndexFunc(s.Node.All, func(c Container) bool { return c.Name == name })
	if i < 0 || !s.made(name) {
		return
	}
	for _, c := range s.Node.All {
		if s.Node.All[i].sharesWith(c) && s.made(c.Name) && s.Node.roleOf(c.ID) == "" {
			s.startLeaders(list, c.Name)
			s.begin(list, step.Step{Act: step.Start, Kind: step.Container, Name: c.Name})
		}
	}
}

// begin adds the start of a container once.
func (s *survey) begin(list *[]step.Step, start step.Step) {
	is := func(o step.Step) bool { return o.Act == step.Start && o.Kind == step.Container && o.Name == start.Name }
	if !slices.ContainsFunc(slices.Concat(s.out.Before, s.out.After), is) {
		*list = append(*list, start)
	}
}
