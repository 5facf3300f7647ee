package target

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

// Difference is something that a capture needs and a server does not have, or
// has otherwise.
type Difference struct {
	Blocks bool   `json:"blocks"` // a restore would end before its end
	What   string `json:"what"`
	Why    string `json:"why,omitempty"`
	Do     string `json:"do,omitempty"` // what to type
}

// Has is what a server has, as far as its user may see.
type Has struct {
	Where      string // "database postgres at /run/postgresql"
	Server     holdfast.Server
	User       string
	Superuser  bool
	CreateDB   bool
	Managed    string // a role of a managed service that may do some of what a superuser may; "" without
	Extensions map[string]Available
	Names      map[string]holdfast.Observed[string] // of databases, by the parameters that bind extensions to them
	Preloaded  holdfast.Observed[[]string]          // libraries that were loaded at the start
	Superusers []string
	Locales    []Locale             // in the order in which the capture needs them
	Parameters map[string]Parameter // by names in lower case; custom ones have no entry
	Limits     holdfast.Limits
}

// Available is an extension that can be made.
type Available struct {
	Default  string // version
	Versions []string
	Anybody  bool // who may create in the database may make it
}

// Locale is what a server says of a locale.
type Locale struct {
	Refusal string // why it cannot be used; "" when it can, or when nobody could find out
	Version string
}

// Parameter is one that a server knows.
type Parameter struct{ Settable bool }

// Choice is what the operator chose of a restore.
type Choice struct {
	NoOwner bool     // everything belongs to the connecting user
	Locale  string   // of the databases, instead of the recorded one
	Without []string // what is left out
}

// Compare lists what keeps a capture from coming back on a server, and what will
// not be as it was.
func Compare(c holdfast.Part, has Has, o Choice) []Difference {
	out := server(c, has)
	n := c.Database.Needs
	if n == nil {
		return append(out, Difference{
			What: "the set is from before it was recorded what a server must have",
			Do: "What is missing shows while it is built. `holdfast drill` tries it elsewhere; a new set records it: " +
				"`holdfast backup`.",
		})
	}
	for _, e := range n.Extensions {
		if !slices.Contains(o.Without, e.Word()) {
			out = append(out, extension(e, has)...)
		}
	}
	for _, p := range n.Privileged {
		if !slices.Contains(o.Without, p.Name) {
			out = append(out, privileged(p, has, o)...)
		}
	}
	for i, l := range n.Locales {
		if i < len(has.Locales) && (l.Collation != "" || o.Locale == "") {
			out = append(out, locale(l, has.Locales[i], has.Where)...)
		}
	}
	for _, name := range n.Settings {
		out = append(out, setting(name, has)...)
	}
	if len(n.Tablespaces) > 0 {
		out = append(out, Difference{
			What: "tablespaces are not restored: what lay in " + strings.Join(n.Tablespaces, ", ") +
				" goes into the default tablespace",
			Do: "After the restore, with nobody connected: ALTER DATABASE ... SET TABLESPACE ...;",
		})
	}
	if n.LargestRow >= largeRow {
		out = append(out, Difference{
			What: fmt.Sprintf("the largest row has %d MiB, and %s needs about three times as much memory to take it",
				n.LargestRow>>20, has.Where),
			Do: "Have that memory free there, in addition to shared_buffers.",
		})
	}
	return append(out, limits(n.Limits, has)...)
}

// largeRow is a row that a server may lack the memory for: it holds the row as it
// came, as a value, and as it stores it.
const largeRow = 256 << 20

// server compares what every capture needs.
func server(c holdfast.Part, has Has) []Difference {
	var out []Difference
	if has.Server.Standby {
		out = append(out, Difference{true, has.Where + " is a standby", "Nothing can be created on it.", "Name the primary."})
	}
	if has.Server.Major() < c.Server.Major() {
		out = append(out, Difference{
			Blocks: true,
			What: fmt.Sprintf("%s runs Postgres %s, the capture of %s is from %s", has.Where, has.Server.Version,
				c.Component, c.Server.Version),
			Why: "A dump goes into the same or a newer major version, not into an older one.",
			Do:  fmt.Sprintf("Restore to a server of version %d or later: --to.", c.Server.Major()),
		})
	}
	if !has.Superuser && !has.CreateDB {
		out = append(out, Difference{
			Blocks: true,
			What:   fmt.Sprintf("the user of %s may not create databases", has.Where),
			Why:    "A restore builds next to the old database, never over it.",
			Do:     fmt.Sprintf("As a superuser: ALTER ROLE %s CREATEDB; or restore as another user: --to.", ident(has.User)),
		})
	}
	return out
}

// extension compares one. What is made of it is the version that is the default
// on the server.
func extension(e holdfast.Extension, has Has) []Difference {
	without := fmt.Sprintf("or leave it out: --without '%s'", e.Word())
	there, available := has.Extensions[e.Name]
	if !available {
		return []Difference{{
			Blocks: true,
			What:   fmt.Sprintf("extension %s %s is not available at %s", e.Name, e.Version, has.Where),
			Why:    "It is made of files on the server, which no set holds.",
			Do: fmt.Sprintf("Install its package on that server (SELECT * FROM pg_available_extensions WHERE name = %s; shows it), %s.",
				literal(e.Name), without),
		}}
	}
	var out []Difference
	if there.Default != e.Version {
		out = append(out, Difference{
			What: fmt.Sprintf("extension %s was version %s and will be %s", e.Name, e.Version, there.Default),
			Do:   fmt.Sprintf("Install the package of version %s there first, if the newer one is not wanted.", e.Version),
		})
	}
	if !there.Anybody && !has.Superuser {
		out = append(out, Difference{
			Blocks: has.Managed == "",
			What:   fmt.Sprintf("extension %s is made by a superuser, and %s is none", e.Name, has.User),
			Why:    "Its functions may do what the server may.",
			Do:     fmt.Sprintf("Restore as a superuser: --to, %s.", without),
		})
	}
	if libraries, known := has.Preloaded.Get(); known && e.Preloaded && !slices.Contains(libraries, e.Name) {
		out = append(out, Difference{
			What: fmt.Sprintf("extension %s is not in shared_preload_libraries at %s", e.Name, has.Where),
			Why:  "It was where the set is of, and may do nothing without.",
			Do: fmt.Sprintf("ALTER SYSTEM SET shared_preload_libraries = %s; then restart that server.",
				literal(strings.Join(append(slices.Clone(libraries), e.Name), ", "))),
		})
	}
	return out
}

// privileged compares an object that only a superuser makes, or only a superuser
// owns.
func privileged(p holdfast.Object, has Has, o Choice) []Difference {
	without := fmt.Sprintf("or leave it out: --without '%s'", p.Name)
	switch {
	case !has.Superuser:
		return []Difference{{
			Blocks: has.Managed == "",
			What:   fmt.Sprintf("%s is made by a superuser, and %s is none", p.Name, has.User),
			Why:    strings.ToUpper(p.Why[:1]) + p.Why[1:] + ".",
			Do:     fmt.Sprintf("Restore as a superuser: --to, %s.", without),
		}}
	case p.SuperOwner && !o.NoOwner && p.Owner != "" && !slices.Contains(has.Superusers, p.Owner):
		return []Difference{{
			Blocks: true,
			What:   fmt.Sprintf("%s belongs to %s, which is no superuser at %s", p.Name, p.Owner, has.Where),
			Why:    "Postgres lets only a superuser own it.",
			Do:     fmt.Sprintf("ALTER ROLE %s SUPERUSER; there, %s.", ident(p.Owner), without),
		}}
	}
	return nil
}

// locale compares a collation. Indexes are built again, so another version of a
// library's rules damages none; texts are in another order.
func locale(l holdfast.Locale, there Locale, where string) []Difference {
	name := "collation " + l.Collation
	if l.Collation == "" {
		name = "the database's locale"
	}
	switch {
	case there.Refusal != "":
		do := fmt.Sprintf("Install the locale on that server (Debian: locale-gen %s, then SELECT pg_import_system_collations('pg_catalog');).",
			l.Collate)
		if l.Collation == "" {
			do += " Or restore with another one: --locale C.UTF-8. Canton's columns collate as \"C\" either way."
		}
		return []Difference{{
			Blocks: true,
			What:   fmt.Sprintf("%s, %s of %s, is missing at %s: %s", name, l.Collate, l.Provider, where, there.Refusal),
			Why:    "Postgres refuses to make what uses it.",
			Do:     do,
		}}
	case there.Version != "" && l.Version != "" && there.Version != l.Version:
		return []Difference{{
			What: fmt.Sprintf("%s, %s of %s, has version %s in the set and %s at %s: texts may sort otherwise",
				name, l.Collate, l.Provider, l.Version, there.Version, where),
			Do: "Indexes are built again and are right. Look at what depends on order: partitions by range of texts, CHECKs.",
		}}
	}
	return nil
}

// setting compares a parameter that is set for the database. Any server takes
// one with a dot in its name.
func setting(name string, has Has) []Difference {
	if strings.Contains(name, ".") {
		return nil
	}
	p, known := has.Parameters[strings.ToLower(name)]
	switch {
	case !known:
		return []Difference{{What: fmt.Sprintf("setting %s of the database is left out: %s has no such parameter", name, has.Where)}}
	case !p.Settable:
		return []Difference{{
			What: fmt.Sprintf("setting %s of the database is left out: %s may not set it", name, has.User),
			Do:   fmt.Sprintf("As a superuser, before the restore: GRANT SET ON PARAMETER %s TO %s; (Postgres 15 and later).", name, ident(has.User)),
		}}
	}
	return nil
}

// limits compares what the servers were compiled with.
func limits(was holdfast.Limits, has Has) []Difference {
	var out []Difference
	for _, l := range []struct {
		name     string
		was, now int
	}{
		{"block_size", was.Block, has.Limits.Block},
		{"max_index_keys", was.IndexKeys, has.Limits.IndexKeys},
		{"max_function_args", was.Arguments, has.Limits.Arguments},
		{"max_identifier_length", was.Identifier, has.Limits.Identifier},
	} {
		if l.now < l.was {
			out = append(out, Difference{
				Blocks: true,
				What:   fmt.Sprintf("%s is %d at %s, and was %d", l.name, l.now, has.Where, l.was),
				Why:    "Rows, names or functions of the set may be larger than that server takes. It was compiled so.",
				Do:     "Restore to a server with Postgres as its distribution builds it: --to.",
			})
		}
	}
	return out
}

// Refuse is the refusal of what blocks; nil where nothing does.
func Refuse(list []Difference) error {
	var blocks []Difference
	for _, d := range list {
		if d.Blocks && !slices.Contains(blocks, d) {
			blocks = append(blocks, d)
		}
	}
	if len(blocks) == 0 {
		return nil
	}
	p := &holdfast.Problem{Class: holdfast.Refused, What: blocks[0].What, Why: blocks[0].Why, Do: blocks[0].Do}
	for _, d := range blocks[1:] {
		p.What += "; " + d.What
		p.Do += " " + d.Do
	}
	if len(blocks) > 1 {
		p.Why = "Each of them would end the restore in its middle."
	}
	return p
}

func ident(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
