package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"holdfast/place"
)

// decoder decodes a document into a Config: only known keys, each once, each
// with a value of its type, and without YAML's implicit types. It records the
// position of every value. Its errors name line and key, never a value, which
// may be a misplaced secret.
type decoder struct {
	from    func(line int) string
	dir     string // the base of relative places
	origins []Origin
}

// document reads the one document of a file. An empty file has none.
func document(text []byte) (*yaml.Node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var tree, second yaml.Node
	err := d.Decode(&tree)
	if errors.Is(err, io.EOF) {
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}, nil
	}
	if err != nil {
		return nil, wellFormed(err)
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return nil, errors.New("it has more than one YAML document (a line ---)")
	}
	return tree.Content[0], nil
}

// wellFormed says what is wrong with the YAML. The text of an unknown alias
// may be a password that begins with a star.
func wellFormed(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if strings.Contains(text, "anchor") {
		return errors.New("it is not valid YAML: a value that begins with * or & has to be quoted")
	}
	return errors.New("it is not valid YAML: " + text)
}

// put decodes a node into v, whose key is key.
func (d *decoder) put(key string, n *yaml.Node, v reflect.Value) error {
	line := n.Line
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	bad := func(want string) error {
		if key == "" {
			return fmt.Errorf("line %d: want keys and their values, such as node: my-validator", line)
		}
		return fmt.Errorf("line %d: %s: want %s", line, key, want)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return bad("a value without a tag (" + n.Tag + ")")
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	switch {
	case v.Type() == reflect.TypeFor[Database]() && n.Kind == yaml.ScalarNode:
		return d.put(key+".connection", n, v.FieldByName("Connection"))
	case v.Type() == reflect.TypeFor[Copy]() && n.Kind == yaml.ScalarNode:
		return d.put(key+".path", n, v.FieldByName("Place"))
	case v.Type() == reflect.TypeFor[Keep]() && n.Kind == yaml.ScalarNode:
		return d.put(key, n, v.FieldByName("Place"))
	case v.Kind() == reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.put(key, n, v.Elem())
	case group(v.Type()):
		if n.Kind != yaml.MappingNode {
			return bad("keys below it, such as " + example(v.Type()))
		}
		return d.mapping(key, n, v)
	case v.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return bad("a list, such as [first, second]")
		}
		v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
		for i, c := range n.Content {
			if err := d.put(fmt.Sprintf("%s[%d]", key, i), c, v.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}
	if n.Kind != yaml.ScalarNode {
		return bad("one value")
	}
	if err := set(v, n.Value, d.dir); err != nil {
		return fmt.Errorf("line %d: %s: %w", line, key, err)
	}
	d.origins = append(d.origins, Origin{key, withoutPassword(n.Value), d.from(line)})
	return nil
}

// group reports whether a value of that type has keys below it. A place is one
// text.
func group(t reflect.Type) bool {
	return t.Kind() == reflect.Map || t.Kind() == reflect.Struct && t != reflect.TypeFor[place.Place]()
}

// mapping decodes keys and values into a struct or a map.
func (d *decoder) mapping(key string, n *yaml.Node, v reflect.Value) error {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i], n.Content[i+1]
		path := strings.TrimPrefix(key+"."+name.Value, ".")
		if name.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: a key is not a word", name.Line)
		}
		if first, twice := seen[name.Value]; twice {
			return fmt.Errorf("line %d: %s is there twice; the first is in line %d", name.Line, path, first)
		}
		seen[name.Value] = name.Line
		if v.Kind() == reflect.Map {
			element := reflect.New(v.Type().Elem()).Elem()
			if err := d.put(path, value, element); err != nil {
				return err
			}
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			v.SetMapIndex(reflect.ValueOf(name.Value), element)
			continue
		}
		if placed, err := d.placed(key, name, value, v); placed || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		field, known := fieldOf(v, name.Value)
		if !known {
			return fmt.Errorf("line %d: unknown key %s; known here are %s", name.Line, path,
				strings.Join(knownIn(v.Type()), ", "))
		}
		if err := d.put(path, value, field); err != nil {
			return err
		}
	}
	return nil
}

// hasPlace reports whether a group has a place, which may be written as a mapping
// of its parts under the name of its kind.
func hasPlace(t reflect.Type) bool {
	return t == reflect.TypeFor[Repository]() || t == reflect.TypeFor[Copy]()
}

// placed decodes a place that is written as a mapping, such as s3: {bucket: sets},
// and refuses a second one.
func (d *decoder) placed(key string, name, value *yaml.Node, v reflect.Value) (bool, error) {
	scheme := place.Scheme(name.Value)
	kind := scheme != place.File && slices.Contains(place.Available(place.Repository), scheme)
	if !hasPlace(v.Type()) || !kind && name.Value != "path" {
		return false, nil
	}
	field := v.FieldByName("Place")
	if !field.IsZero() {
		return false, fmt.Errorf("line %d: %s: it has another place already", name.Line, key)
	}
	if !kind {
		return false, nil
	}
	if value.Kind != yaml.MappingNode {
		return false, fmt.Errorf("line %d: %s.%s: want its parts below it, or its address in %s.path", value.Line, key, name.Value, key)
	}
	var parts map[string]string
	within := decoder{dir: d.dir, from: d.from}
	if err := within.put(key+"."+name.Value, value, reflect.ValueOf(&parts).Elem()); err != nil {
		return false, err
	}
	at, err := place.Of(scheme, parts)
	if err != nil {
		return false, fmt.Errorf("line %d: %s.%s: %w", name.Line, key, name.Value, err)
	}
	field.Set(reflect.ValueOf(at))
	d.origins = append(d.origins, Origin{key + ".path", at.String(), d.from(name.Line)})
	return true, nil
}

// knownIn are the keys of a group, with the kinds of its place.
func knownIn(t reflect.Type) []string {
	list := keys(t)
	if hasPlace(t) {
		for _, scheme := range place.Available(place.Repository) {
			if scheme != place.File {
				list = append(list, string(scheme))
			}
		}
	}
	return list
}

// fieldOf is the field with that key, and whether there is one.
func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag == key {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func keys(t reflect.Type) []string {
	var out []string
	for i := range t.NumField() {
		if tag := t.Field(i).Tag.Get("yaml"); tag != "" {
			out = append(out, tag)
		}
	}
	return out
}

func example(t reflect.Type) string {
	if t.Kind() == reflect.Map {
		return "participant"
	}
	return keys(t)[0]
}

// duration reads a duration; 30d means 30 days.
func duration(text string) (time.Duration, error) {
	const most = 36500
	if days, ok := strings.CutSuffix(text, "d"); ok && wholeNumber.MatchString(days) {
		if n, err := strconv.Atoi(days); err == nil && n <= most {
			return time.Duration(n) * 24 * time.Hour, nil
		}
	}
	return time.ParseDuration(text)
}

var sizes = regexp.MustCompile(`^([1-9][0-9]{0,8})(KiB|MiB|GiB|TiB)$`)

// bytesOf reads a number of bytes with a unit.
func bytesOf(text string) (int64, bool) {
	m := sizes.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	return n << (10 * (1 + strings.Index("KMGT", m[2][:1]))), err == nil && n < 1<<20
}

var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// set sets a value from its text; a relative place is below dir. The error says
// what is wanted, if the text does not fit the type.
func set(v reflect.Value, text, dir string) error {
	switch v.Type() {
	case reflect.TypeFor[place.Place]():
		return setPlace(v, text, dir)
	case reflect.TypeFor[Keep]():
		return setPlace(v.FieldByName("Place"), text, dir)
	}
	if v.Type() == reflect.TypeFor[Duration]() {
		t, err := duration(text)
		if err != nil || t < 0 {
			return errors.New("want a duration, such as 1s or 4h, or days such as 30d")
		}
		v.SetInt(int64(t))
		return nil
	}
	if v.Type() == reflect.TypeFor[Age]() {
		a, ok := age(text)
		if !ok {
			return errors.New("want an age, such as 36h, 14d, 8w or forever")
		}
		v.SetInt(int64(a))
		return nil
	}
	if v.Type() == reflect.TypeFor[Size]() {
		n, ok := bytesOf(text)
		if !ok {
			return errors.New("want a number of bytes, such as 512MiB or 20GiB")
		}
		v.SetInt(n)
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		if !slices.Contains([]string{"true", "false"}, text) {
			return errors.New("want true or false")
		}
		v.SetBool(text == "true")
	case reflect.Int:
		n, err := strconv.Atoi(text)
		if err != nil || !wholeNumber.MatchString(text) {
			return errors.New("want a whole number")
		}
		v.SetInt(int64(n))
	case reflect.Slice:
		parts := strings.Split(text, ",")
		v.Set(reflect.MakeSlice(v.Type(), len(parts), len(parts)))
		for i, part := range parts {
			if err := set(v.Index(i), strings.TrimSpace(part), dir); err != nil {
				return err
			}
		}
	default:
		return errors.New("want one value")
	}
	return nil
}

// setPlace sets a place from its text; an empty text is no place.
func setPlace(v reflect.Value, text, dir string) error {
	if text == "" {
		v.SetZero()
		return nil
	}
	p, err := place.Parse(text, dir)
	v.Set(reflect.ValueOf(p))
	return err
}

var ageRule = regexp.MustCompile(`^([1-9][0-9]{0,4})([hdw])$`)

// ParseAge reads an age.
func ParseAge(text string) (Age, error) {
	a, ok := age(text)
	if !ok {
		return 0, errors.New("want an age, such as 36h, 14d, 8w or forever")
	}
	return a, nil
}

func age(text string) (Age, bool) {
	if text == "forever" {
		return Forever, true
	}
	m := ageRule.FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	unit := map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	return Age(n) * Age(unit), err == nil
}
