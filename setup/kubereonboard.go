package setup

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"holdfast"
	"holdfast/node/compose"
	"holdfast/node/kube"
	"holdfast/reonboard"
)

// way is how a node in Kubernetes is started from its identities: by its releases
// with other values, as the set says whose they are.
func (c *clustered) way(set holdfast.Set) (reonboard.Way, error) {
	d, err := kube.Describe(set.Deployment)
	if err != nil {
		return reonboard.Way{}, err
	}
	conf := c.parts.Config.Kube
	typed := func(later bool) func(string, reonboard.Start) string {
		return func(_ string, s reonboard.Start) string {
			var programs []holdfast.Program
			if set.Deployment != nil {
				programs = set.Deployment.Programs
			}
			list := kube.Overlays(d, programs, renewal(s))
			if later { // the app takes the identities: it comes first
				slices.Reverse(list)
			}
			var out []string
			for _, o := range list {
				if text := o.Upgrade(conf.Context, conf.Namespace, later); text != "" {
					out = append(out, text)
				}
			}
			return strings.Join(out, "\n")
		}
	}
	return reonboard.Way{PartyHint: compose.PartyHint(set), First: typed(false), Later: typed(true)}, nil
}

// renewal is a start as the cluster has it.
func renewal(s reonboard.Start) kube.Renewal {
	out := kube.Renewal{
		Identifier: s.Identifier, PartyHint: s.PartyHint, Conflict: s.Conflict, Databases: map[holdfast.Kind]string{},
	}
	for _, d := range s.Databases {
		if d.Name != d.Was {
			out.Databases[d.Kind] = d.Name
		}
	}
	return out
}

// Begun implements reonboard.Clear: the Secret says what it was made for.
func (c *clustered) Begun(ctx context.Context) (*reonboard.Start, error) {
	n, err := c.node()
	if err != nil {
		return nil, err
	}
	note, there, err := n.Bootstrap(ctx)
	if err != nil || !there {
		return nil, err
	}
	var s reonboard.Start
	if err := json.Unmarshal([]byte(note), &s); err != nil {
		return nil, &holdfast.Problem{
			Class: holdfast.Refused, What: "the note on " + n.BootstrapPlace() + " is damaged", Err: err,
			Do: "Remove the Secret with kubectl; then repeat the command.",
		}
	}
	return &s, nil
}

// Prepare implements reonboard.Clear. The old node is asked for in the cluster and
// at its databases, and the new one begins with databases of its own.
func (c *clustered) Prepare(ctx context.Context, s reonboard.Start) (reonboard.Start, error) {
	n, err := c.node()
	if err != nil {
		return s, err
	}
	if err := n.Stopped(ctx); err != nil {
		return s, err
	}
	live, err := c.parts.given()
	if err != nil {
		return s, err
	}
	list, err := live.Successors(ctx)
	if err != nil {
		return s, err
	}
	var connected []string
	for _, d := range list {
		connected = append(connected, d.Living...)
		s.Databases = append(s.Databases, reonboard.Database{Kind: d.Kind, Was: d.Was, Name: d.Name})
		others := slices.DeleteFunc(d.Participants, func(name string) bool { return name == d.Name })
		s.Conflict = s.Conflict || d.Kind == holdfast.Participant && len(others) > 0
	}
	return s, reonboard.Living(connected)
}

// Write implements reonboard.Clear.
func (c *clustered) Write(ctx context.Context, dump []byte, s reonboard.Start) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	note, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return n.MakeBootstrap(ctx, dump, string(note))
}

// Remove implements reonboard.Clear.
func (c *clustered) Remove(ctx context.Context) error {
	n, err := c.node()
	if err != nil {
		return err
	}
	_, err = n.RemoveBootstrap(ctx)
	return err
}

// Place implements reonboard.Clear.
func (c *clustered) Place() string {
	return kube.Node{Namespace: c.parts.Config.Kube.Namespace}.BootstrapPlace()
}

// look is how far a node is that starts from its identities.
func (c *clustered) look(ctx context.Context, s reonboard.Start) (seen reonboard.Seen, err error) {
	n, err := c.node()
	if err != nil {
		return seen, err
	}
	live, err := c.parts.given()
	if err != nil {
		return seen, err
	}
	at := live.Addresses[componentOf(live.Node, holdfast.Participant)]
	for _, d := range s.Databases {
		if d.Kind == holdfast.Participant {
			at = at.On(d.Name)
		}
		if d.Name == d.Was {
			continue
		}
		old, err := live.Connected(ctx, d.Kind, d.Was)
		if err != nil {
			return seen, err
		}
		seen.Old = append(seen.Old, old...)
	}
	if seen.Identity, err = identityOf(ctx, at); err != nil {
		return seen, err
	}
	now, err := n.Renewed(ctx, renewal(s))
	seen.Other, seen.Waits, seen.Takers = now.Other, now.Waits, now.Takers
	return seen, err
}

// ledger remembers used identifiers where restores keep their journals.
func (c *clustered) ledger(ctx context.Context) reonboard.Ledger {
	key := string(c.parts.Node.Name) + ".identifiers.json"
	ask := func(do func(kube.Node) error) error {
		n, err := c.node()
		if err != nil {
			return err
		}
		return do(n)
	}
	return reonboard.Ledger{
		Path: "ConfigMap " + kube.JournalMap,
		Load: func() (text []byte, err error) {
			err = ask(func(n kube.Node) error { text, err = n.Kept(ctx, key); return err })
			return text, err
		},
		Store: func(text []byte) error { return ask(func(n kube.Node) error { return n.Keep(ctx, key, text) }) },
	}
}
