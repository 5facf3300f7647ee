package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Origin is one value in force and where it came from.
type Origin struct {
	Key   string `json:"key"`   // "repository.path"
	Value string `json:"value"` // references, never secrets
	From  string `json:"from"`  // "holdfast.yaml:3", "HOLDFAST_REPOSITORY_PATH", "default"
}

// Origins lists every value that was set, and the defaults in force beside
// them, sorted by key.
func (c *Config) Origins() []Origin {
	out := slices.Clone(c.origins)
	for _, d := range []Origin{
		{"tools", "(searched for)", "default"}, {"dump.lanes", "cores, at most 4", "default"}, {"dump.connections", "16", "default"},
		{"dump.wait_limit", "1s", "default"}, {"dump.lock_wait", "2m0s", "default"},
	} {
		if !slices.ContainsFunc(out, func(o Origin) bool { return o.Key == d.Key }) {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Origin) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Dir is the directory of the configuration file.
func (c *Config) Dir() string { return filepath.Dir(c.file) }

// origins notes the line of every scalar in the file.
func origins(path string, tree *yaml.Node) []Origin {
	var out []Origin
	var walk func(key string, n *yaml.Node)
	walk = func(key string, n *yaml.Node) {
		switch n.Kind {
		case yaml.DocumentNode:
			for _, c := range n.Content {
				walk(key, c)
			}
		case yaml.MappingNode:
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(strings.TrimPrefix(key+"."+n.Content[i].Value, "."), n.Content[i+1])
			}
		case yaml.SequenceNode:
			for i, c := range n.Content {
				walk(fmt.Sprintf("%s[%d]", key, i), c)
			}
		case yaml.ScalarNode:
			out = append(out, Origin{key, visible(key, n.Value), fmt.Sprintf("%s:%d", filepath.Base(path), n.Line)})
		}
	}
	walk("", tree)
	return out
}

// visible is a value fit to be shown: a connection string may carry a password
// although it should not.
func visible(key, value string) string {
	if !strings.HasPrefix(key, "databases.") {
		return value
	}
	return withoutPassword(value)
}

const prefix = "HOLDFAST_"

// environment sets scalars from HOLDFAST_* variables. Only keys that the
// configuration knows are taken; databases by name are, too, once the file has
// them.
func (c *Config) environment(environ []string) error {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || own[rest] || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		key, target := c.find(rest)
		if key == "" {
			return fmt.Errorf("environment variable %s names no setting", name)
		}
		if err := yaml.Unmarshal([]byte(value), target); err != nil {
			return fmt.Errorf("environment variable %s: %w", name, err)
		}
		c.origins = slices.DeleteFunc(c.origins, func(o Origin) bool { return o.Key == key })
		c.origins = append(c.origins, Origin{key, visible(key, value), name})
	}
	return nil
}

// own are variables that are not settings of the file.
var own = map[string]bool{"CONFIG": true, "PASSWORD": true, "OUTPUT": true}

// find returns the key that an upper-case name stands for, and a pointer to
// its value.
func (c *Config) find(name string) (string, any) {
	var key string
	var target any
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if upper(path) == name && v.CanAddr() {
			key, target = path, v.Addr().Interface()
			return
		}
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() && strings.HasPrefix(name, upper(path)+"_") && v.CanSet() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			if !v.IsNil() {
				walk(path, v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" {
					walk(strings.TrimPrefix(path+"."+tag, "."), v.Field(i))
				}
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	if key != "" {
		return key, target
	}
	for name2, d := range c.Databases {
		if upper("databases."+name2+".connection") == name || upper("databases."+name2) == name {
			return "databases." + name2 + ".connection", &mapped{c, name2, d, "connection"}
		}
		if upper("databases."+name2+".password") == name {
			return "databases." + name2 + ".password", &mapped{c, name2, d, "password"}
		}
	}
	return "", nil
}

// mapped sets one field of a database, which a map does not let one point at.
type mapped struct {
	c     *Config
	name  string
	value Database
	field string
}

// UnmarshalYAML sets the field and puts the database back into the map.
func (m *mapped) UnmarshalYAML(n *yaml.Node) error {
	if m.field == "password" {
		m.value.Password = Reference(n.Value)
	} else {
		m.value.Connection = n.Value
	}
	m.c.Databases[m.name] = m.value
	return nil
}

func upper(key string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}
