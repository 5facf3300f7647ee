package hocon

import (
	"errors"
	"path"
	"slices"
	"strings"
)

// Outside is what a text refers to and does not have itself.
type Outside struct {
	// Env has what substitutions stand for that the text does not answer; nil is
	// an empty environment.
	Env func(name string) (string, bool)
	// File reads a file that is included, by its path as the text has it; false
	// where there is none. Nil: no file is read.
	File func(name string) (text string, found bool, err error)
}

// include is a statement that includes another text.
type include struct {
	name   string // as it is written: file("x.conf")
	object *object
	why    error // it was not read; nil for one that was
}

// resource is what an inclusion names.
type resource struct {
	kind     string // "file(", "url(", "classpath(", "" for a name alone
	name     string
	required bool
}

// mostFiles bounds how many files include each other in turn.
const mostFiles = 20

// include reads what follows the word, and the text that it names.
func (p *parser) include() *include {
	from := p.at
	r := p.resource()
	i := &include{name: string(p.in[from:p.at])}
	i.object, i.why = p.included(r)
	return i
}

// errUnread is why an inclusion is unknown that no file answers for.
var errUnread = errors.New("is not read")

// included reads the text of an inclusion. One that is not there is empty, unless
// it is required or may be something else than a file.
func (p *parser) included(r resource) (*object, error) {
	known := slices.Contains([]string{".conf", ".json"}, path.Ext(r.name))
	if p.outside.File == nil || p.arrays > 0 || !known || r.kind != "" && r.kind != "file(" || strings.Contains(r.name, "://") {
		return nil, errUnread
	}
	if r.kind == "" && !path.IsAbs(r.name) && len(p.files) > 0 {
		r.name = path.Join(path.Dir(p.files[len(p.files)-1]), r.name)
	}
	if slices.Contains(p.files, r.name) || len(p.files) == mostFiles {
		p.fail("%s includes itself, or too much", r.name)
	}
	in, found, err := p.outside.File(r.name)
	switch {
	case err != nil:
		return nil, err
	case !found && r.kind == "file(" && !r.required:
		return &object{}, nil
	case !found:
		return nil, errors.New("is not there")
	}
	inner := &parser{
		in: []rune(in), depth: p.depth, outside: p.outside,
		at: 0, prefix: p.prefix, within: p.prefix, files: append(slices.Clone(p.files), r.name),
	}
	root, err := inner.whole()
	if err != nil {
		p.fail("%s, %v", r.name, err)
	}
	return root, nil
}

// resource reads a quoted name, or one in file(...), url(...) or classpath(...),
// all of it in required(...) or not.
func (p *parser) resource() (r resource) {
	if !p.starts("required(") {
		return p.place()
	}
	p.at += len("required(")
	p.blanks()
	r = p.place()
	if p.blanks(); p.peek() != ')' {
		p.fail("include required(...) is not closed")
	}
	p.at++
	r.required = true
	return r
}

func (p *parser) place() resource {
	for _, kind := range []string{"file(", "url(", "classpath("} {
		if !p.starts(kind) {
			continue
		}
		p.at += len(kind)
		p.blanks()
		r := resource{kind: kind, name: p.name()}
		if p.blanks(); p.peek() != ')' {
			p.fail("include %s...) is not closed", kind)
		}
		p.at++
		return r
	}
	return resource{name: p.name()}
}

func (p *parser) name() string {
	if p.peek() != '"' {
		p.fail("include is not followed by a name in quotes")
	}
	return p.quoted()
}
