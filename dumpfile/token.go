package dumpfile

import (
	"bytes"
	"strings"
)

// The kinds of tokens of SQL.
type kind byte

const (
	ended  kind = iota // the stream ended
	word               // a key word, an identifier without quotes, a number
	quoted             // an identifier in quotes
	text               // a string
	mark               // one character of anything else
)

// token is one word of SQL. Its text is cut at mostText.
type token struct {
	kind kind
	text []byte
	long bool // it was cut
}

func (t token) is(key string) bool { return t.kind == word && strings.EqualFold(string(t.text), key) }

func (t token) mark(c byte) bool { return t.kind == mark && t.text[0] == c }

// isWord marks the characters of words and numbers.
var isWord = func() (is [256]bool) {
	for c := range 256 {
		is[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c >= 0x80
	}
	return is
}()

// lexer splits SQL into tokens, as psql does. Between tokens it skips space and
// comments, and passes comments that begin a line to the function comment.
type lexer struct {
	in      *input
	escapes bool // backslashes escape in ordinary strings: standard_conforming_strings is off
	comment func(text string)
	// carriageReturn is called for a comment that ends in CR LF.
	carriageReturn func()
	scratch        []byte
	back           bool
	last           token
	unclosed       string // what the stream ended within
	begins         bool   // the last token was the first of its line
}

// again makes token return the last token again.
func (l *lexer) again() { l.back = true }

// token returns the next token; keep means that the text of strings is wanted.
// The next token overwrites the text.
func (l *lexer) token(keep bool) token {
	if l.back {
		l.back = false
		return l.last
	}
	l.last = l.read(keep)
	return l.last
}

// space skips space and comments.
func (l *lexer) space() {
	for {
		c := l.in.peek(2)
		switch {
		case len(c) == 0:
			return
		case c[0] == '\n':
			l.begins = true
			l.in.pass(1)
		case c[0] == ' ' || c[0] == '\t' || c[0] == '\r' || c[0] == '\f' || c[0] == '\v':
			l.in.pass(1)
		case len(c) == 2 && c[0] == '-' && c[1] == '-':
			line, _ := l.in.line(mostText)
			if l.begins && l.comment != nil {
				l.comment(string(line))
			}
			if l.in.returned && l.carriageReturn != nil {
				l.carriageReturn()
			}
			l.begins = true
		case len(c) == 2 && c[0] == '/' && c[1] == '*':
			l.block()
		default:
			return
		}
	}
}

// block skips a comment in slashes and stars; such comments nest.
func (l *lexer) block() {
	depth := 0
	for {
		c := l.in.peek(2)
		switch {
		case len(c) < 2:
			l.unclosed = "a comment"
			l.in.pass(len(c))
			return
		case c[0] == '/' && c[1] == '*':
			depth++
			l.in.pass(2)
		case c[0] == '*' && c[1] == '/':
			depth--
			l.in.pass(2)
		default:
			l.in.pass(1)
		}
		if depth == 0 {
			return
		}
	}
}

func (l *lexer) read(keep bool) token {
	l.space()
	l.begins = false
	c := l.in.peek(2)
	l.scratch = l.scratch[:0]
	switch {
	case len(c) == 0:
		return token{}
	case c[0] == '\'':
		l.in.pass(1)
		return l.string('\'', text, l.escapes, keep)
	case c[0] == '"':
		l.in.pass(1)
		return l.string('"', quoted, false, true)
	case len(c) == 2 && c[1] == '\'' && strings.IndexByte("eEbBxXnN", c[0]) >= 0:
		l.in.pass(2)
		return l.string('\'', text, c[0] == 'e' || c[0] == 'E', keep)
	case c[0] == '$':
		if l.dollar() {
			return token{kind: text}
		}
		return token{kind: mark, text: l.scratch}
	case isWord[c[0]]:
		return l.word()
	}
	l.in.pass(1)
	l.scratch = append(l.scratch, c[0])
	return token{kind: mark, text: l.scratch}
}

func (l *lexer) append(b []byte) (cut bool) {
	room := mostText - len(l.scratch)
	l.scratch = append(l.scratch, b[:min(len(b), room)]...)
	return len(b) > room
}

// word reads a word; a number may contain a dot.
func (l *lexer) word() token {
	t := token{kind: word}
	for {
		w := l.in.window()
		n := 0
		for n < len(w) && isWord[w[n]] {
			n++
		}
		t.long = l.append(w[:n]) || t.long
		l.in.pass(n)
		switch {
		case n > 0 && n == len(w):
			continue
		case n < len(w) && w[n] == '.' && len(l.scratch) > 0 && digits(l.scratch):
			t.long = l.append(w[n:n+1]) || t.long
			l.in.pass(1)
			continue
		}
		t.text = l.scratch
		return t
	}
}

func digits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// string reads a string up to its closing quote; two quotes are one of the
// text.
func (l *lexer) string(quote byte, k kind, escapes, keep bool) token {
	t := token{kind: k}
	for {
		w := l.in.window()
		if len(w) == 0 {
			l.unclosed = "a string"
			return token{}
		}
		n := bytes.IndexByte(w, quote)
		if escapes {
			n = bytes.IndexAny(w, string(quote)+`\`)
		}
		part := w
		if n >= 0 {
			part = w[:n]
		}
		if keep {
			t.long = l.append(part) || t.long
		}
		l.in.pass(len(part))
		if n < 0 {
			continue
		}
		c := l.in.peek(2)
		switch {
		case c[0] == '\\':
			if keep && len(c) == 2 {
				t.long = l.append(unescaped(c[1])) || t.long
			}
			l.in.pass(len(c))
		case len(c) == 2 && c[1] == quote:
			if keep {
				t.long = l.append(c[:1]) || t.long
			}
			l.in.pass(2)
		default:
			l.in.pass(1)
			t.text = l.scratch
			return t
		}
	}
}

// dollar skips a string in dollars, $tag$...$tag$, if it is one; otherwise the
// dollar is a mark.
func (l *lexer) dollar() bool {
	tag := l.in.peek(headroom)
	n := 1
	for n < len(tag) && isWord[tag[n]] {
		n++
	}
	if n == len(tag) || tag[n] != '$' || n > 1 && tag[1] >= '0' && tag[1] <= '9' {
		l.scratch = append(l.scratch, '$')
		l.in.pass(1)
		return false
	}
	end := append([]byte(nil), tag[:n+1]...)
	l.in.pass(len(end))
	for {
		w := l.in.window()
		i := bytes.IndexByte(w, '$')
		if i < 0 {
			if len(w) == 0 {
				l.unclosed = "a string in dollars"
				return true
			}
			l.in.pass(len(w))
			continue
		}
		l.in.pass(i)
		if bytes.Equal(l.in.peek(len(end)), end) {
			l.in.pass(len(end))
			return true
		}
		l.in.pass(1)
	}
}

// unescaped is what a backslash and a letter stand for, in escaped strings and in
// COPY.
func unescaped(c byte) []byte {
	if i := strings.IndexByte("bfnrtv", c); i >= 0 {
		return []byte{"\b\f\n\r\t\v"[i]}
	}
	return []byte{c}
}
