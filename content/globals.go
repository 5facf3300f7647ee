package content

import (
	"slices"
	"strings"
)

// Global is a statement about the database itself: a setting, a grant, a comment
// or a property. It has one of the forms that a dump writes, to its end, so it is
// one statement and does nothing else.
type Global struct {
	Kind    GlobalKind
	Role    string // of a setting: in whose sessions; of a grant: to whom; "": everybody's, PUBLIC
	Setting string // its name
	Value   string // of a setting, as SQL

	before, after string // the name of the database
}

// GlobalKind is what a Global is about.
type GlobalKind string

// The kinds.
const (
	Setting  GlobalKind = "setting"
	Grant    GlobalKind = "grant"
	Revoke   GlobalKind = "revoke"
	Comment  GlobalKind = "comment"
	Property GlobalKind = "property"
)

// On is the statement for the database of that name.
func (g Global) On(database string) string { return g.before + quoteIdent(database) + g.after }

// ParseGlobals reads globals.sql of a database of that name. A set may come from
// elsewhere, and what its globals say runs as the user of a restore: only what
// has a known form is a Global. The roles, which are made from the manifest, are
// left out, and foreign lists everything else.
func ParseGlobals(text, database string) (globals []Global, foreign []string) {
	for _, statement := range statements(text) {
		if g, ok := statement.global(database); ok {
			globals = append(globals, g)
		} else if !statement.makesRole() {
			foreign = append(foreign, statement.String())
		}
	}
	return globals, foreign
}

// token is one word, name, text, number or mark of SQL.
type token struct {
	kind tokenKind
	text string // as written
}

type tokenKind int

const (
	word tokenKind = iota
	name           // in double quotes
	text           // in single quotes
	number
	mark
	body // in dollar quotes
	broken
)

// tokens are one statement.
type tokens []token

func (t tokens) String() string {
	parts := make([]string, len(t))
	for i, one := range t {
		parts[i] = one.text
	}
	return strings.Join(parts, " ")
}

// statements splits SQL at the semicolons between tokens.
func statements(sql string) []tokens {
	var out []tokens
	var now tokens
	for sql != "" {
		var t token
		t, sql = next(sql)
		switch {
		case t.text == "":
		case t.kind == mark && t.text == ";":
			if len(now) > 0 {
				out = append(out, now)
			}
			now = nil
		default:
			now = append(now, t)
		}
	}
	if len(now) > 0 {
		out = append(out, now)
	}
	return out
}

// next cuts the first token. White space and comments are one without text; what
// does not end is broken.
func next(sql string) (token, string) {
	cut := func(kind tokenKind, n int) (token, string) { return token{kind, sql[:n]}, sql[n:] }
	at := func(kind tokenKind, from int, escapes bool) (token, string) {
		if n := closing(sql, from, escapes); n > 0 {
			return cut(kind, n)
		}
		return cut(broken, len(sql))
	}
	c := sql[0]
	switch {
	case strings.ContainsRune(" \t\r\n", rune(c)):
		return token{}, strings.TrimLeft(sql, " \t\r\n")
	case strings.HasPrefix(sql, "--"):
		_, rest, _ := strings.Cut(sql, "\n")
		return token{}, rest
	case c == '"':
		return at(name, 0, false)
	case c == '\'':
		return at(text, 0, false)
	case (c == 'E' || c == 'e') && strings.HasPrefix(sql[1:], "'"):
		return at(text, 1, true)
	case strings.HasPrefix(sql, "$do$"):
		if i := strings.Index(sql[4:], "$do$"); i >= 0 {
			return cut(body, i+8)
		}
		return cut(broken, len(sql))
	case letter(c):
		return cut(word, span(sql, func(c byte) bool { return letter(c) || digit(c) }))
	case digit(c) || c == '-' && len(sql) > 1 && digit(sql[1]):
		return cut(number, 1+span(sql[1:], func(c byte) bool { return digit(c) || c == '.' }))
	}
	return cut(mark, 1)
}

func letter(c byte) bool { return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
func digit(c byte) bool  { return '0' <= c && c <= '9' }

func span(sql string, is func(byte) bool) int {
	n := 0
	for n < len(sql) && is(sql[n]) {
		n++
	}
	return n
}

// closing is the length of the quoted text whose quote is at from; 0 if it does
// not end. A doubled quote is part of it. A backslash means something only where
// it escapes: a server may read it differently elsewhere.
func closing(sql string, from int, escapes bool) int {
	quote := sql[from]
	for i := from + 1; i < len(sql); i++ {
		switch {
		case sql[i] == '\\' && escapes:
			i++
		case sql[i] == '\\' && quote == '\'', sql[i] == 0:
			return 0
		case sql[i] == quote && i+1 < len(sql) && sql[i+1] == quote:
			i++
		case sql[i] == quote:
			return i + 1
		}
	}
	return 0
}

// reader takes tokens one after the other.
type reader struct {
	rest tokens
	done []string // what was taken, as written
}

func (r *reader) take() token {
	if len(r.rest) == 0 {
		return token{kind: broken}
	}
	t := r.rest[0]
	r.rest, r.done = r.rest[1:], append(r.done, t.text)
	return t
}

// words takes these words, in any case.
func (r *reader) words(want ...string) bool {
	for i, w := range want {
		if i >= len(r.rest) || r.rest[i].kind != word || !strings.EqualFold(r.rest[i].text, w) {
			return false
		}
	}
	for range want {
		r.take()
	}
	return true
}

// ident takes a name.
func (r *reader) ident() (string, bool) {
	switch t := r.take(); t.kind {
	case name:
		return strings.ReplaceAll(t.text[1:len(t.text)-1], `""`, `"`), true
	case word:
		return strings.ToLower(t.text), true
	}
	return "", false
}

// taken is what was taken since the last call.
func (r *reader) taken() string {
	out := strings.Join(r.done, " ")
	r.done = nil
	return out
}

// database takes the name of the database, and keeps what came before it.
func (r *reader) database(want string, g *Global) bool {
	g.before = r.taken() + " "
	got, ok := r.ident()
	r.taken()
	return ok && got == want
}

// global reads the statement as one of the known forms.
func (t tokens) global(database string) (g Global, ok bool) {
	r := &reader{rest: t}
	switch {
	case r.words("ALTER", "DATABASE"):
		ok = r.database(database, &g) && r.change(&g)
	case r.words("ALTER", "ROLE"):
		g.Role, ok = r.ident()
		ok = ok && r.words("IN", "DATABASE") && r.database(database, &g) && r.words("SET") && r.setting(&g)
	case r.words("REVOKE", "ALL", "ON", "DATABASE"):
		g.Kind = Revoke
		ok = r.database(database, &g) && r.words("FROM", "PUBLIC")
	case r.words("GRANT"):
		ok = r.privilege() && r.words("ON", "DATABASE") && r.database(database, &g) && r.words("TO") && r.to(&g)
	case r.words("COMMENT", "ON", "DATABASE"):
		g.Kind = Comment
		ok = r.database(database, &g) && r.words("IS") && r.take().kind == text
	}
	g.after = " " + r.taken()
	return g, ok && len(r.rest) == 0
}

// change reads what ALTER DATABASE changes.
func (r *reader) change(g *Global) bool {
	g.Kind = Property
	switch {
	case r.words("SET"):
		return r.setting(g)
	case r.words("IS_TEMPLATE"):
		return r.words("true")
	case r.words("ALLOW_CONNECTIONS"):
		return r.words("false")
	case r.words("CONNECTION", "LIMIT"):
		return r.take().kind == number
	}
	return false
}

// setting reads a name, of one or more parts, and its values.
func (r *reader) setting(g *Global) bool {
	g.Kind = Setting
	var parts []string
	for {
		part, ok := r.ident()
		if !ok {
			return false
		}
		parts = append(parts, part)
		if !r.mark(".") {
			break
		}
	}
	g.Setting = strings.Join(parts, ".")
	if !r.words("TO") {
		return false
	}
	var values []string
	for {
		v := r.take()
		if !slices.Contains([]tokenKind{word, name, text, number}, v.kind) {
			return false
		}
		values = append(values, v.text)
		if !r.mark(",") {
			break
		}
	}
	g.Value = strings.Join(values, ", ")
	return true
}

// privilege reads what may be granted on a database.
func (r *reader) privilege() bool {
	return r.words("CONNECT") || r.words("CREATE") || r.words("TEMPORARY") || r.words("TEMP")
}

// to reads to whom something is granted.
func (r *reader) to(g *Global) (ok bool) {
	g.Kind = Grant
	if !r.words("PUBLIC") {
		if g.Role, ok = r.ident(); !ok {
			return false
		}
	}
	return len(r.rest) == 0 || r.words("WITH", "GRANT", "OPTION")
}

func (r *reader) mark(want string) bool {
	if len(r.rest) == 0 || r.rest[0] != (token{mark, want}) {
		return false
	}
	r.take()
	return true
}

// makesRole reports whether the statement makes a role that may not log in,
// unless it exists.
func (t tokens) makesRole() bool {
	if len(t) != 2 || !strings.EqualFold(t[0].text, "DO") || t[1].kind != body {
		return false
	}
	inner := statements(strings.TrimSuffix(strings.TrimPrefix(t[1].text, "$do$"), "$do$"))
	if len(inner) != 3 {
		return false
	}
	r := &reader{rest: inner[0]}
	if !r.words("BEGIN", "CREATE", "ROLE") {
		return false
	}
	_, ok := r.ident()
	return ok && r.words("NOLOGIN") && len(r.rest) == 0 &&
		inner[1].String() == "EXCEPTION WHEN duplicate_object THEN NULL" && inner[2].String() == "END"
}

func quoteIdent(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
