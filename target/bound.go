package target

import (
	"fmt"
	"slices"

	"holdfast"
)

// Bound is an extension that a server makes only in the database that one of its
// parameters names. A restore builds under another name, so the new database
// gets the very name for the moment in which the extension is made.
type Bound struct {
	Extension string
	Schema    string // that it is made in
	Parameter string
	Database  holdfast.Observed[string] // that the parameter names; "" where it is not set
}

// Parameters are those that bind extensions to a database, by extension.
func Parameters() map[string]string { return map[string]string{"pg_cron": "cron.database_name"} }

// BoundOf are the extensions of a capture that a server makes under one name
// alone, but for those that are left out.
func BoundOf(c holdfast.Part, has Has, without []string) []Bound {
	if c.Database.Needs == nil {
		return nil
	}
	var out []Bound
	for _, e := range c.Database.Needs.Extensions {
		_, available := has.Extensions[e.Name]
		parameter, is := Parameters()[e.Name]
		if is && available && !slices.Contains(without, e.Word()) {
			out = append(out, Bound{e.Name, e.Schema, parameter, has.Names[parameter]})
		}
	}
	return out
}

// Naming compares what extensions are bound to with the name that the database
// will have. Taken says that another database has it; renamed is what to call
// that one, so that an undo finds it.
func Naming(list []Bound, where, name string, taken bool, renamed string) []Difference {
	var out []Difference
	for _, b := range list {
		out = append(out, b.compare(where, name, taken, renamed))
	}
	return out
}

func (b Bound) compare(where, name string, taken bool, renamed string) Difference {
	without := fmt.Sprintf("leave it out: --without 'extension %s'", b.Extension)
	switch bound, known := b.Database.Get(); {
	case known && bound == "":
		return Difference{
			Blocks: true,
			What: fmt.Sprintf("extension %s is made only in the database that %s names, which is not set at %s",
				b.Extension, b.Parameter, where),
			Why: "Its library has to be loaded when that server starts.",
			Do: fmt.Sprintf("Set shared_preload_libraries = '%s' and %s = %s in that server's postgresql.conf, "+
				"restart it, or %s.", b.Extension, b.Parameter, literal(name), without),
		}
	case known && bound != name:
		return Difference{
			Blocks: true,
			What: fmt.Sprintf("extension %s is made only in database %s, which %s names at %s, and not in %s",
				b.Extension, bound, b.Parameter, where, name),
			Why: "Its worker looks for jobs in that one database.",
			Do: fmt.Sprintf("ALTER SYSTEM SET %s = %s; then restart that server, or %s.",
				b.Parameter, literal(name), without),
		}
	case taken:
		return Difference{
			Blocks: true,
			What: fmt.Sprintf("extension %s is made only in a database with the very name %s, and one has it at %s",
				b.Extension, name, where),
			Why: "The new database has to have that name for the moment in which the extension is made.",
			Do: fmt.Sprintf("ALTER DATABASE %[1]s ALLOW_CONNECTIONS false; SELECT pg_terminate_backend(pid) FROM "+
				"pg_stat_activity WHERE datname = %[2]s; ALTER DATABASE %[1]s RENAME TO %[3]s; (an undo puts it back). "+
				"Or restore to a server without it: --to, or %[4]s.",
				ident(name), literal(name), ident(renamed), without),
		}
	}
	return Difference{What: fmt.Sprintf("extension %s is bound to the name %s: the new database has that name while "+
		"the extension is made", b.Extension, name)}
}
