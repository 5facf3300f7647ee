package holdfast

import "slices"

// Needs is what a server must have for a database to come back whole on it. What
// every server has is not listed.
type Needs struct {
	Extensions []Extension `json:"extensions,omitempty"`
	Locales    []Locale    `json:"locales,omitempty"`
	Privileged []Object    `json:"privileged,omitempty"` // what only a superuser makes
	// Checks are constraints that are put in place when all rows are there, by
	// their names.
	Checks      []string `json:"checks,omitempty"`
	Settings    []string `json:"settings,omitempty"`    // parameters that are set for the database, or for a role in it
	Tablespaces []string `json:"tablespaces,omitempty"` // that anything of it lies in
	Limits      Limits   `json:"limits"`                // of the server that it came from
	Largest     int64    `json:"largest_table_bytes"`   // with indexes: what is sorted at once
	// LargestRow is the longest row as it was read: what a server takes at once.
	LargestRow int64 `json:"largest_row_bytes,omitempty"`
}

// Extension is an extension of a database.
type Extension struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Schema  string `json:"schema"`
	// Preloaded says that the server loaded the extension's library at its start.
	Preloaded bool `json:"preloaded,omitempty"`
	// Configuration are the tables and sequences of it whose contents are captured.
	Configuration []string `json:"configuration,omitempty"`
}

// Locale is a collation that the database or something in it uses.
type Locale struct {
	Collation string `json:"collation"` // "pg_catalog.de-x-icu"; "" for the database's own
	Made      bool   `json:"made,omitempty"`
	Provider  string `json:"provider"` // "libc", "icu" or "builtin"
	Collate   string `json:"collate"`
	CType     string `json:"ctype,omitempty"`
	Version   string `json:"version,omitempty"` // of the library's rules
}

// Object is something in a database, by the name that --without takes.
type Object struct {
	Name  string `json:"name"` // "event trigger note"
	Owner string `json:"owner,omitempty"`
	Why   string `json:"why"` // only a superuser makes it
	// SuperOwner says that the owner has to be a superuser as well.
	SuperOwner bool `json:"superuser_owns,omitempty"`
	// Sole says that its owner owns nothing but such objects.
	Sole bool `json:"sole,omitempty"`
}

// Limits are what a server was compiled with.
type Limits struct {
	Block      int `json:"block_size"`
	IndexKeys  int `json:"max_index_keys"`
	Arguments  int `json:"max_function_args"`
	Identifier int `json:"max_identifier_length"`
}

// OwnersWithout are the owners of what is left when objects are left out.
func (d Database) OwnersWithout(names []string) []string {
	if d.Needs == nil || len(names) == 0 {
		return d.Owners
	}
	return slices.DeleteFunc(slices.Clone(d.Owners), func(role string) bool {
		owns := func(o Object) bool { return o.Owner == role && o.Sole }
		kept := func(o Object) bool { return owns(o) && !slices.Contains(names, o.Name) }
		return slices.ContainsFunc(d.Needs.Privileged, owns) && !slices.ContainsFunc(d.Needs.Privileged, kept)
	})
}

// Optional are the names of what a restore can leave out.
func (n *Needs) Optional() []string {
	if n == nil {
		return nil
	}
	var out []string
	for _, e := range n.Extensions {
		out = append(out, e.Word())
	}
	for _, o := range n.Privileged {
		out = append(out, o.Name)
	}
	return append(out, n.Checks...)
}

// Word is the extension's name as --without takes it.
func (e Extension) Word() string { return "extension " + e.Name }
