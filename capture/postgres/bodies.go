package postgres

import (
	"slices"
	"strings"
)

// body is what the text of a function names. It is read as SQL, without the
// server, because Postgres keeps what a function uses only of bodies in the
// SQL standard's form.
type body struct {
	relations []name // read or written: after FROM, JOIN, INTO, UPDATE
	calls     []name // followed by a parenthesis
	types     []name // cast to
}

// name is a name as it is written, perhaps with a schema.
type name struct{ schema, name string }

func (n name) String() string {
	if n.schema == "" {
		return n.name
	}
	return n.schema + "." + n.name
}

// readBody reads a function's text. Within strings there may be statements too:
// in languages that are not SQL, and in those that an EXECUTE runs.
func readBody(text, language string) body {
	words, strs := scanSQL(text)
	b := named(words)
	dynamic := slices.ContainsFunc(words, func(w word) bool { return w.is("execute") })
	if language != "sql" && (language != "plpgsql" || dynamic) {
		for _, s := range strs {
			more, _ := scanSQL(s)
			inner := named(more)
			b.relations = append(b.relations, inner.relations...)
			b.calls = append(b.calls, inner.calls...)
		}
	}
	return b
}

// word is a word or a character of SQL. What is quoted is no keyword.
type word struct {
	text   string
	quoted bool
	letter bool // it begins like a name
}

func (w word) is(keywords ...string) bool {
	return w.letter && !w.quoted && slices.Contains(keywords, w.text)
}

// named finds the names in a text.
func named(words []word) body {
	var b body
	var with []string // named by a WITH, and no relations
	for i, w := range words {
		if w.letter && i+2 < len(words) && words[i+1].is("as") && words[i+2].text == "(" {
			with = append(with, w.text)
		}
	}
	from := false // within a list of relations
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w.is("from", "join", "into", "update", "table"):
			from = true
		case w.text == "," && from:
		case w.is("where", "group", "order", "having", "limit", "union", "returning", "set", "values", "select", "on"),
			w.text == ";", w.text == ")":
			from = false
			continue
		case w.text == "::":
			n, _ := nameAt(words, i+1)
			if n.name != "" {
				b.types = append(b.types, n)
			}
			continue
		default:
			if n, next := nameAt(words, i); n.name != "" {
				if next < len(words) && words[next].text == "(" {
					b.calls = append(b.calls, n)
				}
				i = next - 1
			}
			continue
		}
		next := i + 1
		for next < len(words) && words[next].is("only", "lateral", "if", "exists", "not") {
			next++
		}
		n, behind := nameAt(words, next)
		called := behind < len(words) && words[behind].text == "(" && !w.is("into")
		if n.name != "" && !called && !(n.schema == "" && slices.Contains(with, n.name)) {
			b.relations = append(b.relations, n)
			i = behind - 1
		}
	}
	return b
}

// nameAt reads the name that begins at a word, and returns what is behind it.
func nameAt(words []word, i int) (name, int) {
	if i >= len(words) || !words[i].letter {
		return name{}, i
	}
	n := name{name: words[i].text}
	for i++; i+1 < len(words) && words[i].text == "." && words[i+1].letter; i += 2 {
		n = name{schema: n.name, name: words[i+1].text}
	}
	return n, i
}

// scanSQL cuts a text into words, and returns its strings.
func scanSQL(text string) (words []word, strs []string) {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.HasPrefix(text[i:], "--"):
			i = end(text, i, "\n")
		case strings.HasPrefix(text[i:], "/*"):
			i = end(text, i+2, "*/")
		case c == '\'':
			to := end(text, i+1, "'")
			for to < len(text) && text[to] == '\'' {
				to = end(text, to+1, "'")
			}
			strs = append(strs, strings.ReplaceAll(strings.Trim(text[i:to], "'"), "''", "'"))
			words = append(words, word{text: "'"})
			i = to
		case c == '$' && dollarTag(text[i:]) != "":
			tag := dollarTag(text[i:])
			to := end(text, i+len(tag), tag)
			strs = append(strs, strings.TrimSuffix(text[i+len(tag):to], tag))
			words = append(words, word{text: "'"})
			i = to
		case c == '"':
			to := end(text, i+1, `"`)
			words = append(words, word{text: strings.Trim(text[i:to], `"`), quoted: true, letter: true})
			i = to
		case isLetter(c):
			to := i
			for to < len(text) && (isLetter(text[to]) || text[to] >= '0' && text[to] <= '9' || text[to] == '$') {
				to++
			}
			words = append(words, word{text: strings.ToLower(text[i:to]), letter: true})
			i = to
		case strings.HasPrefix(text[i:], "::"):
			words = append(words, word{text: "::"})
			i += 2
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
		default:
			words = append(words, word{text: text[i : i+1]})
			i++
		}
	}
	return words, strs
}

// end is the place behind the next mark, or the end of the text.
func end(text string, from int, mark string) int {
	if from >= len(text) {
		return len(text)
	}
	at := strings.Index(text[from:], mark)
	if at < 0 {
		return len(text)
	}
	return from + at + len(mark)
}

// dollarTag is the mark that a string in dollars begins with, such as "$$".
func dollarTag(text string) string {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == '$':
			return text[:i+1]
		case !isLetter(text[i]) && (i == 1 || text[i] < '0' || text[i] > '9'):
			return ""
		}
	}
	return ""
}

func isLetter(c byte) bool { return c == '_' || c >= 0x80 || c|0x20 >= 'a' && c|0x20 <= 'z' }
