package hocon

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Error is a text that is not HOCON.
type Error struct {
	Line int
	What string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// The values of a text, before they are resolved.
type (
	value any

	// text is a string, a number, true or false. Null is of its own.
	text string
	null struct{}

	// object is what stands between braces, in the order of the text.
	object struct{ entries []entry }
	entry  struct {
		key   string
		value value // of an inclusion: *include, and no key
	}
	array struct{ elements []value }

	// substitution is ${path}, or ${?path}. In a text that is included its path
	// begins where that is included or, if nothing is there, at the root.
	substitution struct {
		path     []string
		optional bool
		within   []string
	}
	// joined are values next to each other, with the blanks between them as
	// *blank.
	joined struct{ parts []value }
	blank  string
)

// deepest bounds how deep objects and arrays may be nested.
const deepest = 200

// parser reads one text. A panic with an *Error ends it.
type parser struct {
	in      []rune
	at      int
	depth   int
	outside Outside
	prefix  []string // the path of the object that is being read
	arrays  int      // how many arrays that is in: what they hold has no path
	within  []string // the path of the inclusion of this text
	files   []string // the files that are being included, each by the one before
}

// parse reads a whole text: the fields of its root object.
func parse(in string, outside Outside) (*object, error) {
	return (&parser{in: []rune(in), outside: outside}).whole()
}

func (p *parser) whole() (root *object, err error) {
	defer func() {
		if failed, ok := recover().(*Error); ok {
			root, err = nil, failed
		} else if r := recover(); r != nil {
			panic(r)
		}
	}()
	p.lines()
	if p.peek() == '{' {
		root = p.object()
		p.lines()
	} else {
		root = &object{}
		p.fields(root, end)
	}
	if p.peek() != end {
		p.fail("nothing may follow the object that is the whole text")
	}
	return root, nil
}

// end stands for the end of the text.
const end = rune(-1)

func (p *parser) fail(format string, args ...any) {
	at := min(p.at, len(p.in))
	line := 1
	for _, r := range p.in[:at] {
		if r == '\n' {
			line++
		}
	}
	panic(&Error{line, fmt.Sprintf(format, args...)})
}

func (p *parser) peek() rune { return p.ahead(0) }

func (p *parser) ahead(n int) rune {
	if p.at+n >= len(p.in) {
		return end
	}
	return p.in[p.at+n]
}

func (p *parser) starts(with string) bool {
	for i, r := range []rune(with) {
		if p.ahead(i) != r {
			return false
		}
	}
	return true
}

// isBlank reports a blank other than the end of a line.
func isBlank(r rune) bool {
	return r != '\n' && (unicode.IsSpace(r) && r != '\u0085' || r == '\ufeff' || r >= 0x1c && r <= 0x1f)
}

// blanks passes over blanks of one line and returns them.
func (p *parser) blanks() string {
	from := p.at
	for isBlank(p.peek()) {
		p.at++
	}
	return string(p.in[from:p.at])
}

// comment passes over one, up to the end of its line.
func (p *parser) comment() {
	if p.peek() != '#' && !p.starts("//") {
		return
	}
	for p.peek() != '\n' && p.peek() != end {
		p.at++
	}
}

// lines passes over blanks, comments and ends of lines, and says whether a line
// ended.
func (p *parser) lines() (ended bool) {
	for {
		p.blanks()
		p.comment()
		if p.peek() != '\n' {
			return ended
		}
		p.at++
		ended = true
	}
}

// next passes over what stands between two fields or elements; false where the
// list ends.
func (p *parser) next(closing rune) bool {
	ended := p.lines()
	if p.peek() == ',' {
		p.at++
		p.lines()
		if p.peek() == ',' {
			p.fail("two commas with nothing between them")
		}
		ended = true
	}
	if p.peek() == closing {
		return false
	}
	if p.peek() == end {
		p.fail("the text ends within an object or an array")
	}
	if !ended {
		p.fail("a comma or a new line is missing before %q", p.peek())
	}
	return true
}

func (p *parser) enter() func() {
	if p.depth++; p.depth > deepest {
		p.fail("nested deeper than %d", deepest)
	}
	return func() { p.depth-- }
}

// object reads { ... }.
func (p *parser) object() *object {
	defer p.enter()()
	p.at++
	p.lines()
	o := &object{}
	p.fields(o, '}')
	p.at++
	return o
}

// fields reads fields up to the closing brace, or the end of the text.
func (p *parser) fields(o *object, closing rune) {
	if p.peek() == closing {
		return
	}
	for {
		p.field(o)
		if !p.next(closing) {
			return
		}
	}
}

// array reads [ ... ].
func (p *parser) array() *array {
	defer p.enter()()
	p.arrays++
	defer func() { p.arrays-- }()
	p.at++
	a := &array{}
	if p.lines(); p.peek() == ']' {
		p.at++
		return a
	}
	for {
		a.elements = append(a.elements, p.value())
		if !p.next(']') {
			p.at++
			return a
		}
	}
}

// field reads one field, or an inclusion.
func (p *parser) field(o *object) {
	if p.starts("include") && !isUnquoted(p.ahead(len("include"))) {
		p.at += len("include")
		p.blanks()
		if p.peek() != '.' {
			o.entries = append(o.entries, entry{value: p.include()})
			return
		}
		p.at -= len("include")
	}
	path := p.path("a key", ":={+\n,}")
	p.lines()
	appends := false
	switch p.peek() {
	case '{':
	case ':', '=':
		p.at++
	case '+':
		if p.at++; p.peek() != '=' {
			p.fail("+ stands outside of quotes")
		}
		p.at++
		appends = true
	default:
		p.fail("a key is not followed by =, : or {")
	}
	p.lines()
	outer := p.prefix
	p.prefix = append(slices.Clone(outer), path...)
	v := p.value()
	p.prefix = outer
	if appends {
		v = &joined{[]value{&substitution{path: path, optional: true, within: p.within}, &array{[]value{v}}}}
	}
	o.add(path, v)
}

// add adds a value at a path: a.b = 1 is a { b = 1 }.
func (o *object) add(path []string, v value) {
	for _, key := range slices.Backward(path[1:]) {
		v = &object{[]entry{{key, v}}}
	}
	o.entries = append(o.entries, entry{path[0], v})
}

// reserved are the characters that are not part of an unquoted text.
const reserved = "$\"{}[]:=,+#`^?!@*&\\"

func isUnquoted(r rune) bool {
	return r != end && r != '\n' && !isBlank(r) && !strings.ContainsRune(reserved, r)
}

// unquoted reads up to a reserved character, a blank or a comment.
func (p *parser) unquoted() string {
	from := p.at
	for isUnquoted(p.peek()) && !p.starts("//") {
		p.at++
	}
	return string(p.in[from:p.at])
}

// loose reads an unquoted text of a value, with the reserved characters that can
// be nothing else there.
func (p *parser) loose() string {
	from := p.at
	for isUnquoted(p.peek()) || strings.ContainsRune("$:=+`^?!@*&\\", p.peek()) {
		if p.starts("//") || p.starts("${") {
			break
		}
		p.at++
	}
	return string(p.in[from:p.at])
}

// value reads one: what stands next to each other up to a comma, a closing
// bracket or the end of the line.
func (p *parser) value() value {
	var parts []value
	for {
		between := p.blanks()
		v, ok := p.simple()
		if !ok {
			break
		}
		if first[*object](parts) >= 0 && strings.ContainsAny(bare(v), reserved) {
			p.fail("a comma or a new line is missing after an object")
		}
		if len(parts) > 0 && between != "" {
			parts = append(parts, blank(between))
		}
		parts = append(parts, v)
	}
	switch len(parts) {
	case 0:
		p.fail("a value is missing")
	case 1:
		if bare(parts[0]) == "null" {
			return null{}
		}
	}
	for i, part := range parts {
		if v, ok := part.(unquoted); ok {
			parts[i] = text(v)
		}
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return &joined{parts}
}

// unquoted is a text without quotes, which may be a word of the language.
type unquoted string

// bare is the text of one; "" of another value.
func bare(v value) string {
	u, _ := v.(unquoted)
	return string(u)
}

// simple reads one part of a value; false where there is none.
func (p *parser) simple() (value, bool) {
	switch r := p.peek(); {
	case r == '{':
		return p.object(), true
	case r == '[':
		return p.array(), true
	case r == '"':
		return text(p.quoted()), true
	case p.starts("${"):
		return p.substitution(), true
	case r == end || r == '\n' || r == ',' || r == '}' || r == ']' || r == '#' || p.starts("//"):
		return nil, false
	}
	return unquoted(p.loose()), true
}

// substitution reads ${...}.
func (p *parser) substitution() *substitution {
	p.at += len("${")
	s := &substitution{within: p.within}
	if p.peek() == '?' {
		s.optional = true
		p.at++
	}
	s.path = p.path("a substitution", "}")
	if p.peek() != '}' {
		p.fail("a substitution is not closed")
	}
	p.at++
	return s
}

// path reads a path up to one of the characters that end it: words with dots
// between them, in quotes or without.
func (p *parser) path(of, ends string) []string {
	var out []string
	var word strings.Builder
	filled := false // the word has something, be it an empty text in quotes
	add := func(text string) { word.WriteString(text); filled = true }
	for space := p.blanks(); !strings.ContainsRune(ends, p.peek()) && p.peek() != end; {
		if filled || len(out) > 0 {
			word.WriteString(space)
		}
		switch r := p.peek(); {
		case r == '"':
			add(p.quoted())
		case r == '#' || p.starts("//"):
			p.comment()
		case !isUnquoted(r):
			p.fail("%q stands outside of quotes in %s", r, of)
		default:
			for i, piece := range strings.Split(p.unquoted(), ".") {
				if i > 0 {
					if !filled {
						p.fail("%s has a dot with nothing before it", of)
					}
					out, filled = append(out, word.String()), false
					word.Reset()
				}
				if piece != "" {
					add(piece)
				}
			}
		}
		space = p.blanks()
	}
	if !filled {
		p.fail("%s is empty or ends with a dot", of)
	}
	return append(out, word.String())
}

// escapes are what a character after a backslash stands for.
var escapes = map[rune]rune{
	'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// quoted reads "..." or """...""".
func (p *parser) quoted() string {
	if p.starts(`"""`) {
		return p.tripled()
	}
	var out []rune
	for p.at++; ; p.at++ {
		switch r := p.peek(); r {
		case '"':
			p.at++
			return string(out)
		case end, '\n':
			p.fail("a quoted text does not end on its line")
		case '\\':
			p.at++
			out = append(out, p.escape())
		default:
			out = append(out, r)
		}
	}
}

// escape reads what follows a backslash, up to its last character.
func (p *parser) escape() rune {
	if p.peek() == 'u' {
		r := p.hex()
		if surrogate := r >= 0xd800 && r < 0xdc00; surrogate && p.ahead(1) == '\\' && p.ahead(2) == 'u' {
			p.at += 2
			return 0x10000 + (r-0xd800)<<10 + (p.hex() - 0xdc00)
		}
		return r
	}
	r, ok := escapes[p.peek()]
	if !ok {
		p.fail("a backslash is followed by what it cannot escape")
	}
	return r
}

// hex reads four digits, up to the last.
func (p *parser) hex() (out rune) {
	for range 4 {
		p.at++
		digit := strings.IndexRune("0123456789abcdef", unicode.ToLower(p.peek()))
		if digit < 0 {
			p.fail(`\u is not followed by four hexadecimal digits`)
		}
		out = out<<4 + rune(digit)
	}
	return out
}

// tripled reads """...""". Quotes more than three at its end belong to it.
func (p *parser) tripled() string {
	p.at += 3
	from := p.at
	for !p.starts(`"""`) {
		if p.peek() == end {
			p.fail("a text in triple quotes does not end")
		}
		p.at++
	}
	for p.ahead(3) == '"' {
		p.at++
	}
	out := string(p.in[from:p.at])
	p.at += 3
	return out
}
