package retention

import (
	"fmt"

	"holdfast"
)

// SetDropped says that a set was dropped, and why.
type SetDropped struct {
	Node holdfast.NodeName
	Set  holdfast.SetID
	Why  string
}

func (e SetDropped) String() string { return fmt.Sprintf("dropped set %s: %s", e.Set, e.Why) }

// why is the reason of the decision on a set.
func (p Plan) why(id holdfast.SetID) string {
	for _, d := range p.Sets {
		if d.Set == id {
			return d.Because()
		}
	}
	return ""
}
