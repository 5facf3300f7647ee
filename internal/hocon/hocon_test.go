package hocon

import (
	"errors"
	"strings"
	"testing"
)

func environment(name string) (string, bool) {
	v, ok := map[string]string{"HOME": "/root", "PATH": "/bin", "EMPTY": "", "PG_PASSWORD": `a"b`}[name]
	return v, ok
}

// TestValuesOfTheSpecification follows the specification section by section.
func TestValuesOfTheSpecification(t *testing.T) {
	for _, c := range []struct{ name, in, path, want string }{
		// Comments.
		{"comment of a line", "# a = 1\n// a = 2\na = 3 # of a value\n", "a", "3"},
		{"comment after a comma", "a = 1, // no\nb = 2", "b", "2"},
		{"comment in quotes", `a = "x # y // z"`, "a", "x # y // z"},
		{"a hash ends an unquoted text", "a = pa#ss", "a", "pa"},
		{"one slash does not", "a = /var/lib", "a", "/var/lib"},
		// Root braces, separators, commas.
		{"root braces", "{ a = 1 }", "a", "1"},
		{"a colon", "a : 1", "a", "1"},
		{"no separator before a brace", "a { b = 1 }", "a.b", "1"},
		{"a brace on the next line", "a =\n{ b = 1 }", "a.b", "1"},
		{"a comma at the end", "a { b = 1, }\n", "a.b", "1"},
		{"a new line instead of a comma", "a { b = 1\nc = 2 }", "a.c", "2"},
		{"an empty text", "  # nothing\n", "a", "<none>"},
		// Duplicate keys and merging.
		{"the last wins", "a = 1\na = 2", "a", "2"},
		{"objects are merged", "a { b = 1 }, a { c = 2 }", "a.b", "1"},
		{"the last wins in merged objects", "a { b = 1 }, a { b = 2 }", "a.b", "2"},
		{"a text between two objects hides the first", "a { b = 1 }, a = x, a { c = 2 }", "a.b", "<none>"},
		{"and the second stays", "a { b = 1 }, a = x, a { c = 2 }", "a.c", "2"},
		{"null hides", "a = 1, a = null", "a", "<none>"},
		// Unquoted texts and concatenation.
		{"blanks within are kept, around are not", "a =   foo  bar   \n", "a", "foo  bar"},
		{"quoted and unquoted", `a = foo "bar  "baz`, "a", "foo bar  baz"},
		{"a number keeps its form", "a = 007", "a", "007"},
		{"numbers and letters", "a = 1e3x-y_z", "a", "1e3x-y_z"},
		{"null next to a text", "a = null x", "a", "null x"},
		{"null in quotes", `a = "null"`, "a", "null"},
		{"objects next to each other", "a = { b = 1 } { c = 2 }", "a.c", "2"},
		{"an empty text in quotes", `a = ""`, "a", ""},
		// Quoted texts.
		{"escapes", `a = "q\"\\\/\t\u0041\ud83d\ude00"`, "a", "q\"\\/\tA\U0001F600"},
		{"triple quotes", `a = """tri"p\nle"""`, "a", `tri"p\nle`},
		{"lines in triple quotes", "a = \"\"\"x\n y\"\"\"", "a", "x\n y"},
		{"more quotes at the end belong to the text", `a = """x"""""`, "a", `x""`},
		{"empty triple quotes", `a = """"""`, "a", ""},
		// Reserved characters, which the specification forbids.
		{"reserved characters", "a = p@s$!*&^?`\\s", "a", "p@s$!*&^?`\\s"},
		{"a separator within a value", "a = a b=c:d+e \n", "a", "a b=c:d+e"},
		{"a dollar before a substitution", "b = x, a = $${b}", "a", "$x"},
		// Paths as keys.
		{"dots in a key", "a.b.c = 1", "a.b.c", "1"},
		{"a key in quotes is one word", `"a.b" = 1`, "a.b", "<none>"},
		{"a key partly in quotes", `a."b".c = 1`, "a.b.c", "1"},
		{"a number as a key", "10.0foo = 1", "10.0foo", "1"},
		// Substitutions.
		{"another value", "a = ${b}, b = x", "a", "x"},
		{"within a text", "a = pre ${b} post, b = x", "a", "pre x post"},
		{"of an object", "a = ${b} { d = 2 }, b { c = 1 }", "a.c", "1"},
		{"no blanks around an object", "a = ${b}  {d = 2}, b {c = 1}", "a.d", "2"},
		{"the last value counts", "b = x, a = ${b}, b = y", "a", "y"},
		{"not within quotes", `a = "${b}", b = x`, "a", "${b}"},
		{"of a nested path", `a = ${"b".c}, b.c = x`, "a", "x"},
		{"of its own object", "bar : { foo : 42, baz : ${bar.foo} }, bar : { foo : 43 }", "bar.baz", "43"},
		{"from the environment", "a = ${HOME}", "a", "/root"},
		{"the text before the environment", "a = ${HOME}, HOME = x", "a", "x"},
		{"quotes in the environment are text", "a = ${PG_PASSWORD}", "a", `a"b`},
		{"an empty variable", "a = ${EMPTY}", "a", ""},
		{"null hides the environment", "HOME = null, a = ${?HOME}", "a", "<none>"},
		{"optional and missing", "a = ${?NONE}", "a", "<none>"},
		{"optional and missing leaves what was before", "a = 1\na = ${?NONE}", "a", "1"},
		{"optional and missing within a text", "a = x${?NONE}y", "a", "xy"},
		{"optional and missing next to an object", "a = ${?NONE} { b = 1 }", "a.b", "1"},
		// References to themselves.
		{"what it was before", `path = x, path = ${path}":y"`, "path", "x:y"},
		{"of the environment", `PATH = ${PATH}":/x"`, "PATH", "/bin:/x"},
		{"optional and of itself", "a = ${?a}foo", "a", "foo"},
		{"merged with itself", "a { b = 1 }, a = ${a} { c = 2 }", "a.b", "1"},
		{"through another", "bar : { a : ${foo.d}, b : 1 }, bar.b = 3, foo : { c : ${bar.b}, d : 2 }, foo.d = 4", "bar.a", "4"},
		{"and back", "bar : { a : ${foo.d}, b : 1 }, bar.b = 3, foo : { c : ${bar.b}, d : 2 }, foo.d = 4", "foo.c", "3"},
		// Inclusions.
		{"a value after an inclusion", "include \"x.conf\"\na.b = 1", "a.b", "1"},
		{"within an object", "a { include required(file(\"x.conf\"))\nb = 1 }", "a.b", "1"},
		{"elsewhere", "c { include url(\"http://x\") }, a = 1", "a", "1"},
		{"a key that begins like the word", "includes = 1", "includes", "1"},
		{"the word as a later part of a key", "a.include = 1", "a.include", "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := Parse(c.in, Outside{Env: environment})
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := config.Text(strings.Split(c.path, ".")...)
			if !ok {
				got = "<none>"
			}
			if err != nil || got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestKeysWithBlanksAreOneWord(t *testing.T) {
	config, err := Parse("a b c = 1, d . e = 2", Outside{})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range [][]string{{"a b c"}, {"d ", " e"}} {
		if _, ok, err := config.Text(path...); !ok || err != nil {
			t.Errorf("%q is not there: %v", path, err)
		}
	}
}

// TestWhatIsUnknownIsNamed: only what the value depends on is refused.
func TestWhatIsUnknownIsNamed(t *testing.T) {
	for _, c := range []struct{ name, in, path, want string }{
		{"required and missing", "a = ${NONE}", "a", "a: ${NONE} has no value"},
		{"within a text", "a = x${some.thing}", "a", "${some.thing} has no value"},
		{"its own object is unknown", "a = ${_storage}", "a.b", "${_storage} has no value"},
		{"merged with an unknown object", "a = ${_storage}, a.b = ${?a.c}", "a.b", "${_storage} has no value"},
		{"a cycle", "a = ${b}, b = ${a}", "a", "has no value"},
		{"a value before an inclusion", "a.b = 1\ninclude \"x.conf\"", "a.b", `include "x.conf" is not read`},
		{"in the object of the value", "a { b = 1\ninclude required(file(\"/app/x.conf\")) }", "a.b", `include required(file("/app/x.conf")) is not read`},
		{"no value but an inclusion", "include classpath(\"x\")", "a", "is not read"},
		{"an object", "a.b = 1", "a", "it is an object"},
		{"an array", "a = [1], a += 2", "a", "it is an array"},
		{"a text next to an object", "a = x { b = 1 }", "a", "next to each other"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := Parse(c.in, Outside{Env: environment})
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := config.Text(strings.Split(c.path, ".")...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	config, err := Parse("a = ${_storage}, a.b = 1, c = ${NONE}", Outside{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := config.Text("a", "b"); got != "1" || err != nil {
		t.Errorf("what is known is refused: %q, %v", got, err)
	}
}

func TestTextsThatAreNotHOCON(t *testing.T) {
	for _, c := range []struct {
		name, in string
		line     int
		want     string
	}{
		{"a reserved character in a key", "\na@b = 1", 2, "'@' stands outside of quotes"},
		{"text after an object", "a { } b@c", 1, "after an object"},
		{"a brace that is not closed", "a { b = 1", 1, "ends within"},
		{"a brace too many", "a = 1 }", 1, "before '}'"},
		{"something after the root", "{ a = 1 } b = 2", 1, "nothing may follow"},
		{"two commas", "a = 1,, b = 2", 1, "two commas"},
		{"two fields on a line", "a { } b = 2", 1, "after an object"},
		{"no value", "a =\n", 2, "a value is missing"},
		{"no separator", "a\n", 2, "not followed by"},
		{"an empty key", "= 1", 1, "is empty"},
		{"a dot at the end of a key", "a. = 1", 1, "ends with a dot"},
		{"two dots", "a..b = 1", 1, "nothing before it"},
		{"quotes that do not end", "a = \"x\nb = 1", 1, "does not end on its line"},
		{"triple quotes that do not end", `a = """x"`, 1, "triple quotes does not end"},
		{"an unknown escape", `a = "\x"`, 1, "cannot escape"},
		{"too few digits", `a = "\u00"`, 1, "hexadecimal"},
		{"a substitution that is not closed", "a = ${b", 1, "not closed"},
		{"include without a name", "include x", 1, "include is not followed"},
		{"an array as the root", "[1]", 1, "'['"},
		{"too deep", strings.Repeat("[", 300), 1, "outside"},
		{"too deep a value", "a = " + strings.Repeat("[", 300), 1, "nested deeper"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.in, Outside{})
			var failed *Error
			if !errors.As(err, &failed) || failed.Line != c.line || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want line %d: %s", err, c.line, c.want)
			}
		})
	}
}

func TestKeysOfAnObject(t *testing.T) {
	config, err := Parse("a { x = 1, y = 2 }, a.z = ${NONE}, a.x = 3, b = 1", Outside{})
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := config.Keys("a"); err != nil || strings.Join(keys, " ") != "x y z" {
		t.Errorf("got %v, %v", keys, err)
	}
	for _, path := range []string{"b", "none"} {
		if keys, err := config.Keys(path); err != nil || len(keys) != 0 {
			t.Errorf("%s: got %v, %v", path, keys, err)
		}
	}
}

// FuzzParse: no text makes the reader panic or run away.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"a { b = ${?c} [1, 2] }, c = ${a}", `a = """x"""`, "a = ${a}${a}${a}, a = ${a}${a}", `include file("x")`,
		"a=${b}${b},b=${c}${c},c=${d}${d},d=${e}${e},e=${a}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(_ *testing.T, in string) {
		config, err := Parse(in, Outside{Env: environment})
		if err != nil {
			return
		}
		keys, _ := config.Keys()
		for _, key := range keys {
			_, _, _ = config.Text(key)
			_, _ = config.Keys(key)
		}
	})
}

// TestIncludedFiles: what a text includes counts where it is included, and what
// cannot be read is named.
func TestIncludedFiles(t *testing.T) {
	files := map[string]string{
		"db.conf":          "name = live, user = ${who}",
		"/app/db.conf":     "name = app, include \"more.conf\"",
		"/app/more.conf":   "more = ${name} again, list += 2",
		"/app/broken.conf": "a = 1\nb {",
		"/app/self.conf":   "include file(\"/app/self.conf\")",
		"x.json":           `{"name": "json"}`,
	}
	file := func(name string) (string, bool, error) {
		if name == "/secret.conf" {
			return "", false, errors.New("cannot be read: no rights")
		}
		text, ok := files[name]
		return text, ok, nil
	}
	for _, c := range []struct{ name, in, path, want, wrong string }{
		{"at the root", `include "db.conf", who = me`, "name", "live", ""},
		{"a substitution of the root", `include "db.conf", who = me`, "user", "me", ""},
		{"in an object", `a { include file("db.conf") }, who = me`, "a.user", "me", ""},
		{"in an object, where that answers", `a { who = us, include file("db.conf") }, who = me`, "a.user", "us", ""},
		{"next to the file that includes it", `a.b { include required(file("/app/db.conf")) }`, "a.b.more", "app again", ""},
		{"json", `include "x.json"`, "name", "json", ""},
		{"what comes later wins", "name = old\ninclude \"db.conf\"\nname = new", "name", "new", ""},
		{"and hides what was before", "name = old\ninclude \"db.conf\"", "name", "live", ""},
		{"one that is not there", "a = 1, include file(\"none.conf\")", "a", "1", ""},
		{"one that is required", "a = 1, include required(file(\"none.conf\"))", "a", "", `include required(file("none.conf")) is not there`},
		{"one that may be elsewhere", "a = 1, include \"none.conf\"", "a", "", "is not there"},
		{"one that cannot be read", "a = 1, include \"/secret.conf\"", "a", "", "no rights"},
		{"of another form", "a = 1, include \"x.properties\"", "a", "", "is not read"},
		{"from a network", "a = 1, include \"http://x/y.conf\"", "a", "", "is not read"},
		{"in an array", `a = [{ include "db.conf" }], b = 1`, "b", "1", ""},
		{"wrong itself", "a = 1\ninclude \"/app/broken.conf\"", "a", "", "line 2: /app/broken.conf, line 2"},
		{"without end", `include "/app/self.conf"`, "a", "", "includes itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, err := Parse(c.in, Outside{Env: environment, File: file})
			got := ""
			if err == nil {
				got, _, err = config.Text(strings.Split(c.path, ".")...)
			}
			if got != c.want || (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("got %q, %v; want %q, %q", got, err, c.want, c.wrong)
			}
		})
	}
	config, err := Parse(`a { include "db.conf" }`, Outside{File: file})
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := config.Keys("a"); err != nil || strings.Join(keys, " ") != "name user" {
		t.Errorf("the keys are %q, %v", keys, err)
	}
}
