package postgres

import (
	"regexp"
	"slices"
	"strings"

	"holdfast/content"
)

// inSchemas are the kinds of privileged objects that lie in a schema.
var inSchemas = []string{"function", "procedure", "aggregate", "operator class", "type", "text search parser", "text search template"}

// noSchemas are those that belong to the database as a whole.
var noSchemas = []string{"event trigger", "publication", "extension", "procedural language", "foreign data wrapper", "access method"}

// leaveOut takes objects out of pg_restore's list of a dump's entries, with what
// is said of them. A CHECK has no entry of its own. An entry reads "3456; 1259
// 16403 EVENT TRIGGER - note owner".
func leaveOut(list string, names []string) string {
	var patterns []string
	for _, name := range names {
		patterns = append(patterns, entryPatterns(name)...)
	}
	if len(patterns) == 0 {
		return list
	}
	gone := regexp.MustCompile(`^\d+; \d+ \d+ (?:` + strings.Join(patterns, "|") + `) `)
	var out strings.Builder
	for _, line := range strings.SplitAfter(list, "\n") {
		if !gone.MatchString(strings.ReplaceAll(line, "\n", " ")) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// leaveOutOfAll is leaveOut of a list with every entry of a dump, and leaves out
// what lies in schemas that only an extension makes.
func leaveOutOfAll(list string, names []string) string {
	return within(leaveOut(list, names), schemasMade(list, names))
}

// schemasMade are the schemas that there are when extensions are left out: those
// that every database has, and those that the whole list makes. Nil where none is
// left out.
func schemasMade(list string, names []string) []string {
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, "extension ") }) {
		return nil
	}
	schemas := []string{"public", "pg_catalog", "information_schema"}
	for _, m := range schemaEntry.FindAllStringSubmatch(list, -1) {
		schemas = append(schemas, m[1])
	}
	return schemas
}

var (
	// schemaEntry is "5; 2615 16385 SCHEMA - apps owner".
	schemaEntry = regexp.MustCompile(`(?m)^\d+; \d+ \d+ SCHEMA - (.*) \S+$`)
	// ofExtension is an entry that a dump may have for what an extension makes, such
	// as "3456; 3256 16403 POLICY cron job cron_job_policy owner", and rights on a
	// schema itself.
	ofExtension = regexp.MustCompile(`^\d+; \d+ \d+ (?:POLICY|ROW SECURITY|ACL) (?:- SCHEMA )?(.*)`)
)

// within takes those entries out of a list that are of a schema's objects, where
// the schema is none of these. Nil are all.
func within(list string, schemas []string) string {
	if schemas == nil {
		return list
	}
	var out strings.Builder
	for _, line := range strings.SplitAfter(list, "\n") {
		m := ofExtension.FindStringSubmatch(line)
		if m == nil || m[1][0] == '-' ||
			slices.ContainsFunc(schemas, func(s string) bool { return strings.HasPrefix(m[1], s+" ") }) {
			out.WriteString(line)
		}
	}
	return out.String()
}

// entryPatterns are the beginnings of the entries of an object.
func entryPatterns(name string) []string {
	for _, kind := range noSchemas {
		if tag, ok := strings.CutPrefix(name, kind+" "); ok {
			what := regexp.QuoteMeta(strings.ToUpper(kind))
			tag = regexp.QuoteMeta(tag)
			out := []string{what + " - " + tag, `(?:COMMENT|ACL|SECURITY LABEL) - ` + what + " " + tag}
			if kind == "publication" { // which has members
				out = append(out, `PUBLICATION TABLES? (?:IN SCHEMA )?\S+ `+tag)
			}
			return out
		}
	}
	for _, kind := range inSchemas {
		if object, ok := strings.CutPrefix(name, kind+" "); ok {
			schema, tag, _ := strings.Cut(object, ".")
			what := regexp.QuoteMeta(strings.ToUpper(kind))
			schema = regexp.QuoteMeta(schema)
			return []string{`(?:SHELL )?` + what + " " + schema + " " + regexp.QuoteMeta(tag),
				`(?:COMMENT|ACL|SECURITY LABEL) ` + schema + " " + what + " " + namedArguments(tag)}
		}
	}
	return nil
}

// namedArguments is the pattern of a function's signature, such as "sure(integer,
// text)", where its arguments may have their names before their types.
func namedArguments(signature string) string {
	name, types, found := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	if !found {
		return regexp.QuoteMeta(signature)
	}
	var arguments []string
	for _, t := range strings.Split(types, ", ") {
		arguments = append(arguments, `(?:[^,]* )?`+regexp.QuoteMeta(t))
	}
	return regexp.QuoteMeta(name) + `\(` + strings.Join(arguments, ", ") + `\)`
}

// without are the rows of a set less those of extensions that are left out.
func without(r content.Rows, names []string) content.Rows {
	out := func(extension string) bool {
		return extension != "" && slices.Contains(names, "extension "+extension)
	}
	r.Tables = slices.DeleteFunc(slices.Clone(r.Tables), func(t content.Table) bool { return out(t.Extension) })
	r.Sequences = slices.DeleteFunc(slices.Clone(r.Sequences), func(s content.Sequence) bool { return out(s.Extension) })
	return r
}
