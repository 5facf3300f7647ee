package restore

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

// outward are extensions whose functions reach other servers, files or programs
// from within a database; every foreign data wrapper does, whose name ends in _fdw.
var outward = []string{"dblink", "http", "pg_cron", "pg_net", "plperlu", "plpython3u", "pltclu", "plsh"}

// runs says which code of a database leaves it: a restore makes it, and what it
// refreshes and checks may call it. Other code can do no more than the roles of the
// database.
func runs(component holdfast.ComponentName, needs *holdfast.Needs) []string {
	if needs == nil {
		return nil // of before it was recorded
	}
	var what []string
	for _, e := range needs.Extensions {
		if slices.Contains(outward, e.Name) || strings.HasSuffix(e.Name, "_fdw") {
			what = append(what, e.Word()+" (it reaches out of the database)")
		}
	}
	for _, o := range needs.Privileged {
		what = append(what, fmt.Sprintf("%s (%s)", o.Name, o.Why))
	}
	if len(what) == 0 {
		return nil
	}
	const most = 10
	if more := len(what) - most; more > 0 {
		what = append(what[:most], fmt.Sprintf("and %d more", more))
	}
	return []string{fmt.Sprintf("The restore of %s makes, and its views may run: %s. If the set is not your own, look at "+
		"it in a sandbox first: `holdfast drill`.", component, strings.Join(what, ", "))}
}
