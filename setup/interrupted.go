package setup

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"holdfast"
	"holdfast/databases"
	"holdfast/step"
)

// Interrupted is the problem of a restore of this node that was broken off, as
// the journal of this machine has it; nil where there is none.
func (p *Parts) Interrupted() error {
	log, err := p.journal().Read()
	if err != nil || !log.Unfinished() {
		return err
	}
	return interrupted(log.Set, "its journal is "+p.journal().Path)
}

// whole refuses a node whose databases may not belong together, because the swap
// of a restore was broken off: on this machine or, as the servers say, on
// another. A restore that had not begun to swap has changed none of them.
func (p *Parts) whole(ctx context.Context, live databases.Live) error {
	log, err := p.journal().Read()
	if err != nil {
		return err
	}
	if log.Swapping() {
		return interrupted(log.Set, "its journal is "+p.journal().Path)
	}
	halves, err := live.Halves(ctx)
	if err != nil || len(halves) == 0 {
		return err
	}
	return halfway(halves)
}

// observeRestore says how a restore was interrupted, as far as this machine and
// the servers know.
func (p *Parts) observeRestore(ctx context.Context, live databases.Live) (string, error) {
	err := cmp.Or(p.Interrupted(), p.whole(ctx, live))
	if holdfast.ClassOf(err) == holdfast.Refused {
		return err.Error(), nil
	}
	return "", err
}

// halfway is the problem of databases that took their place in a swap that was
// broken off before all had theirs.
func halfway(halves []step.Leftover) error {
	var names []string
	for _, l := range halves {
		names = append(names, l.Name)
	}
	return interrupted(halves[0].Set, fmt.Sprintf("%s took its place and is still closed", strings.Join(names, ", ")))
}

func interrupted(set holdfast.SetID, evidence string) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("a restore of set %s was interrupted: %s", set, evidence),
		Why: "The node's databases may not belong together. Its programs must not run on them," +
			" and a backup of them would be of no one node.",
		Do: fmt.Sprintf("Finish it: `holdfast restore %s --yes`. Or roll it back: `holdfast restore undo --yes`.", set),
	}
}
