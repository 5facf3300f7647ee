package config

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Origin is one value in force and where it came from.
type Origin struct {
	Key   string `json:"key"`   // "repository.path"
	Value string `json:"value"` // references, never secrets
	From  string `json:"from"`  // "holdfast.yaml:3", "HOLDFAST_REPOSITORY_PATH", "default"
}

// Origins lists every value that was set, and the defaults in force, sorted by
// key.
func (c *Config) Origins() []Origin {
	out := slices.Clone(c.origins)
	for _, d := range []Origin{
		{"tools", "(searched for)", "default"},
		{"silence_limit", "2m0s", "default"},
		{"cache.use", "true", "default"},
		{"cache.limit", "512MiB", "default"},
		{"dump.lanes", "cores, at most 4", "default"},
		{"dump.connections", "3, and 2 for each lane", "default"},
		{"dump.wait_limit", "1s", "default"},
		{"dump.lock_wait", "2m0s", "default"},
		{"dump.take_over", "true", "default"},
		{"dump.reread", "7d", "default"},
		{"dump.wal_summaries", "false", "default"},
		{"check.cadence", "4h", "default"},
		{"check.grace", "30m, or twice what the last backup took", "default"},
		{"check.drill_every", "31d", "default"},
		{"check.key_test_every", "180d", "default"},
		{"check.attack_every", "180d", "default"},
		{"check.copy_behind", "24h", "default"},
		{"check.runway", "7d", "default"},
		{"check.clock_skew", "30s", "default"},
	} {
		if !slices.ContainsFunc(out, func(o Origin) bool { return o.Key == d.Key }) {
			out = append(out, d)
		}
	}
	if c.Retention == (Retention{}) {
		out = append(out, Origin{"retention", "(nothing is dropped)", "default"})
	} else if c.Retention.Faulty == 0 {
		out = append(out, Origin{"retention.faulty", "7d", "default"})
	}
	slices.SortStableFunc(out, func(a, b Origin) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// Dir is the directory of the configuration file.
func (c *Config) Dir() string { return filepath.Dir(c.file) }

// File is the file that was read.
func (c *Config) File() string { return c.file }

const prefix = "HOLDFAST_"

// own are variables that are not settings of the file.
var own = map[string]bool{"CONFIG": true, "OUTPUT": true}

// setting is one value that a variable of the environment can set.
type setting struct {
	key   string
	value reflect.Value
	done  func() // to be called when the value was set
}

// environment sets single values from HOLDFAST_* variables. The text is the
// value, for a list with commas as separators; an empty variable is ignored. A
// variable can change a database that the file has.
func (c *Config) environment(environ []string) error {
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ok := strings.CutPrefix(name, prefix)
		if !ok || value == "" || own[rest] || strings.HasPrefix(rest, "TEST_") {
			continue
		}
		found := slices.DeleteFunc(c.settings(), func(s setting) bool { return upper(s.key) != rest })
		switch len(found) {
		case 0:
			return fmt.Errorf("the environment variable %s names no setting: unset it, or correct its name", name)
		case 1:
		default:
			return fmt.Errorf("the environment variable %s could be %s as well as %s: rename one of them", name,
				found[0].key, found[1].key)
		}
		s := found[0]
		if err := set(s.value, value, c.Dir()); err != nil {
			return fmt.Errorf("the environment variable %s: %w", name, err)
		}
		s.done()
		c.origins = slices.DeleteFunc(c.origins, func(o Origin) bool {
			return o.Key == s.key || strings.HasPrefix(o.Key, s.key+"[")
		})
		c.origins = append(c.origins, Origin{s.key, withoutPassword(value), name})
	}
	return nil
}

// settings lists every single value that has a key.
func (c *Config) settings() []setting {
	out := leaves("", reflect.ValueOf(c).Elem(), func() {})
	if c.Identities == nil {
		fresh := &Identities{}
		out = append(out, leaves("identities", reflect.ValueOf(fresh).Elem(), func() { c.Identities = fresh })...)
	}
	for _, name := range c.names() {
		changed := c.Databases[name]
		v := reflect.ValueOf(&changed).Elem()
		done := func() { c.Databases[name] = v.Interface().(Database) }
		out = append(out, leaves("databases."+name, v, done)...)
		out = append(out, setting{"databases." + name, v.FieldByName("Connection"), done})
	}
	return out
}

func leaves(key string, v reflect.Value, done func()) []setting {
	switch v.Kind() {
	case reflect.Map:
		return nil
	case reflect.Slice:
		if group(v.Type().Elem()) && v.Type().Elem() != reflect.TypeFor[Keep]() {
			return nil // a variable cannot hold it
		}
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return leaves(key, v.Elem(), done)
	case reflect.Struct:
		if !group(v.Type()) {
			break
		}
		var out []setting
		for _, k := range keys(v.Type()) {
			field, _ := fieldOf(v, k)
			out = append(out, leaves(strings.TrimPrefix(key+"."+k, "."), field, done)...)
		}
		return out
	}
	return []setting{{key, v, done}}
}

func upper(key string) string {
	return strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}
