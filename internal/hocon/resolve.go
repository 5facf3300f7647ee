package hocon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Config is a text that was parsed.
type Config struct {
	root *object
	env  func(name string) (string, bool)
}

// Parse reads a text, and the files that it includes.
func Parse(in string, outside Outside) (*Config, error) {
	root, err := parse(in, outside)
	if err != nil {
		return nil, err
	}
	return &Config{root, outside.Env}, nil
}

// Text is the string or the number at a path; false where there is none. An
// object and an array are errors, as is what cannot be resolved.
func (c *Config) Text(path ...string) (string, bool, error) {
	found, err := c.lookup(path)
	if err != nil {
		return "", false, err
	}
	switch found := found.(type) {
	case nil, null:
		return "", false, nil
	case text:
		return string(found), true, nil
	case *layers:
		if why := found.unknown(); why != nil {
			return "", false, at(path, why)
		}
		return "", false, at(path, errors.New("it is an object"))
	}
	return "", false, at(path, errors.New("it is an array"))
}

// Keys are those of the object at a path, in the order of the text; none where
// there is no object.
func (c *Config) Keys(path ...string) ([]string, error) {
	found, err := c.lookup(path)
	if err != nil {
		return nil, err
	}
	o, ok := found.(*layers)
	if !ok {
		return nil, nil
	}
	var out []string
	for _, layer := range o.list {
		if layer.object == nil {
			continue // what it may add is unknown, and each of its values says so
		}
		for _, key := range layer.object.keys() {
			if !slices.Contains(out, key) {
				out = append(out, key)
			}
		}
	}
	return out, nil
}

// keys are those of an object and of what it includes.
func (o *object) keys() (out []string) {
	for _, e := range o.entries {
		switch i, included := e.value.(*include); {
		case !included:
			out = append(out, e.key)
		case i.object != nil:
			out = append(out, i.object.keys()...)
		}
	}
	return out
}

func at(path []string, err error) error { return fmt.Errorf("%s: %w", strings.Join(path, "."), err) }

func (c *Config) lookup(path []string) (value, error) {
	r := &resolver{Config: c, busy: map[value]bool{}}
	found := r.at(path)
	if why, failed := found.(unresolved); failed {
		return nil, at(path, why.error)
	}
	if r.spent > limit {
		return nil, at(path, errors.New("it refers to too much"))
	}
	return found, nil
}

// unresolved is a value that is unknown, and why.
type unresolved struct{ error }

// layers are an object whose fields are in several places: a later one wins.
type layers struct{ list []layer }

// layer is one of them; nil for one that is unknown, and why.
type layer struct {
	object *object
	why    error
}

// unknown says why an object may be something else than an object; nil where it
// is one for sure.
func (l *layers) unknown() error {
	for _, layer := range l.list {
		if layer.object != nil {
			return nil
		}
	}
	return l.list[0].why
}

// limit bounds how many values one lookup may resolve.
const limit = 100_000

// resolver resolves what one lookup needs.
type resolver struct {
	*Config
	// busy are the values that are being resolved. One that refers to its own
	// field means what the field was before.
	busy  map[value]bool
	spent int
}

// at resolves the value at a path from the root.
func (r *resolver) at(path []string) value {
	found := value(&layers{[]layer{{object: r.root}}})
	for _, key := range path {
		switch in := found.(type) {
		case *layers:
			found = r.field(in, key)
		case unresolved:
			return in
		default:
			return nil
		}
	}
	return found
}

// field resolves one field of an object.
func (r *resolver) field(in *layers, key string) value {
	var stack []value
	for _, layer := range in.list {
		if layer.object == nil {
			stack = append(stack, unresolved{layer.why})
			continue
		}
		stack = append(stack, assigned(layer.object, key)...)
	}
	for i, v := range stack {
		if r.busy[v] { // what comes later is what is being resolved
			return r.fold(stack[:i])
		}
	}
	return r.fold(stack)
}

// assigned are the values that an object gives a key, one after the other.
func assigned(o *object, key string) (out []value) {
	for _, e := range o.entries {
		if i, included := e.value.(*include); included && i.object != nil {
			out = append(out, assigned(i.object, key)...)
		} else if included {
			out = append(out, unresolved{fmt.Errorf("include %s %w", i.name, i.why)})
		} else if e.key == key {
			out = append(out, e.value)
		}
	}
	return out
}

// fold makes one value of those that a field was given: the last wins, objects
// are merged, and one that is undefined leaves what was before.
func (r *resolver) fold(stack []value) value {
	var merged []layer
	for _, v := range slices.Backward(stack) {
		found := r.resolve(v)
		switch found := found.(type) {
		case nil:
			continue
		case *layers:
			merged = append(slices.Clone(found.list), merged...)
			continue
		case unresolved:
			merged = append([]layer{{why: found.error}}, merged...)
			continue
		}
		if len(merged) == 0 {
			return found
		}
		break // hidden by the object
	}
	return oneObject(merged)
}

// oneObject is an object of layers; nil of none, and unresolved where nothing of
// it is known.
func oneObject(list []layer) value {
	if len(list) == 0 {
		return nil
	}
	o := &layers{list}
	if len(list) == 1 && list[0].object == nil {
		return unresolved{list[0].why}
	}
	return o
}

// resolve resolves one value; nil is one that is undefined.
func (r *resolver) resolve(v value) value {
	if r.spent++; r.spent > limit {
		return unresolved{errors.New("it refers to too much")}
	}
	switch v := v.(type) {
	case *object:
		return &layers{[]layer{{object: v}}}
	case *substitution:
		r.busy[v] = true
		defer delete(r.busy, v)
		return r.substitute(v)
	case *joined:
		r.busy[v] = true
		defer delete(r.busy, v)
		return r.join(v)
	}
	return v
}

// substitute is what ${...} stands for.
func (r *resolver) substitute(s *substitution) value {
	if len(s.within) > 0 {
		if found := r.at(slices.Concat(s.within, s.path)); found != nil {
			return found
		}
	}
	if found := r.at(s.path); found != nil {
		return found
	}
	name := strings.Join(s.path, ".")
	if r.env != nil {
		if found, ok := r.env(name); ok {
			return text(found)
		}
	}
	if s.optional {
		return nil
	}
	return unresolved{fmt.Errorf("${%s} has no value", name)}
}

// join makes one value of several next to each other: texts, arrays or objects.
func (r *resolver) join(j *joined) value {
	var parts []value
	for _, part := range j.parts {
		if _, between := part.(blank); between {
			parts = append(parts, part)
			continue
		}
		if found := r.resolve(part); found != nil {
			parts = append(parts, found)
		}
	}
	if i := first[*layers](parts); i >= 0 {
		return joinObjects(parts)
	}
	if i := first[unresolved](parts); i >= 0 {
		return parts[i]
	}
	if i := first[*array](parts); i >= 0 {
		return joinArrays(parts)
	}
	return joinTexts(parts)
}

// first is where the first value of a type stands; -1 where none does.
func first[T value](parts []value) int {
	return slices.IndexFunc(parts, func(v value) bool { _, ok := v.(T); return ok })
}

var mixed = unresolved{errors.New("texts, arrays and objects are next to each other")}

func joinObjects(parts []value) value {
	out := &layers{}
	for _, part := range parts {
		switch part := part.(type) {
		case blank:
		case *layers:
			out.list = append(out.list, part.list...)
		case unresolved:
			out.list = append(out.list, layer{why: part.error})
		default:
			return mixed
		}
	}
	return out
}

func joinArrays(parts []value) value {
	out := &array{}
	for _, part := range parts {
		switch part := part.(type) {
		case blank:
		case *array:
			out.elements = append(out.elements, part.elements...)
		default:
			return mixed
		}
	}
	return out
}

// joinTexts joins texts with the blanks between them; nil where all of them are
// undefined.
func joinTexts(parts []value) value {
	var out strings.Builder
	defined := false
	for _, part := range parts {
		switch part := part.(type) {
		case blank:
			out.WriteString(string(part))
		case text:
			out.WriteString(string(part))
			defined = true
		case null:
			out.WriteString("null")
			defined = true
		}
	}
	if !defined {
		return nil
	}
	return text(out.String())
}
