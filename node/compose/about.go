package compose

import (
	"cmp"
	"context"
	"fmt"

	"holdfast"
)

// About says of a node, for people, how it runs and how it was started: lines
// of what, and what about it.
func (b Bundle) About() [][]string {
	start := b.Start()
	out := [][]string{
		{"project", b.Project + "   in " + cmp.Or(b.Directory, "an unknown directory")},
		{"Splice", cmp.Or(b.Splice(), "cannot tell: the images' tags do not say")},
		{"started with", fmt.Sprintf("-p %s -P %s -m %s -s %s -c %s",
			start.PartyHint, start.Identifier, cmp.Or(start.MigrationID, "(none)"), start.Sponsor, start.Scan)},
		{"authentication", start.Auth},
	}
	for _, r := range b.Roles() {
		out = append(out, []string{r.Role, r.Container.Name + "   " + r.Container.State + "   " + r.Container.Image})
	}
	for _, r := range b.PassedOver() {
		out = append(out, []string{"passed over", fmt.Sprintf("%s   %s   it has the variables of %s, and is not the one that the others reach",
			r.Container.Name, r.Container.State, titles[r.Role])})
	}
	for _, what := range b.Unknown() {
		out = append(out, []string{"in no set", what})
	}
	if b.External() {
		out = append(out, []string{"postgres", "outside of the project: " + b.ParticipantDatabase().Server})
	}
	d := b.ParticipantDatabase()
	return append(out, []string{"databases", d.Name + ", " + b.ValidatorDatabase().Name + "   as " + d.User})
}

// Lines are About, and where the databases' data is: also whether the next
// stop.sh loses it.
func (n *Node) Lines(ctx context.Context) [][]string {
	out := n.About()
	f, err := n.Lasting(ctx)
	switch {
	case err != nil:
		return append(out, []string{"data", "cannot tell where it is: " + err.Error()})
	case f.Verdict == holdfast.Violated:
		f.Evidence += ". Give it a volume with a name: `holdfast check --explain data_outlives_stop`"
	}
	return append(out, []string{"data", f.Evidence})
}
