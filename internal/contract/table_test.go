package contract_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const page = "../../docs/contracts.md"

// row is one of a table of docs/contracts.md: what is held, and by what.
type row struct{ name, heldBy string }

var typedRule = regexp.MustCompile("^`(validator-internal|scan)`$")

// shortRule finds names of Canton's that the page writes in short.
var shortRule = regexp.MustCompile(`^(/?)((?:admin|crypto|protocol|topology|version)\.)`)

// source is the file of types that holds the row, "" if none does.
func (r row) source() string {
	if m := typedRule.FindStringSubmatch(r.heldBy); m != nil {
		return m[1]
	}
	return ""
}

// table reads the rows below a heading of the page, by what is held.
func table(t *testing.T, heading string) map[string]row {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## "+heading)
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string]row{}
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		if len(cells) < 2 || !strings.HasPrefix(line, "| `") {
			continue
		}
		name := shortRule.ReplaceAllString(strings.Trim(strings.TrimSpace(cells[0]), "`"), "${1}com.digitalasset.canton.$2")
		if _, twice := rows[name]; twice {
			t.Errorf("%s stands twice in the table of %s", name, heading)
		}
		rows[name] = row{name, strings.TrimSpace(cells[1])}
	}
	if !found || len(rows) == 0 {
		t.Fatalf("%s has no table of %s", page, heading)
	}
	return rows
}

// withoutAPI is the path as the vendor's types have it.
func withoutAPI(endpoint string) string {
	for _, api := range []string{"/api/validator", "/api/scan", "/api/sv"} {
		if path, ok := strings.CutPrefix(endpoint, api); ok {
			return path
		}
	}
	return endpoint
}

var (
	pathRule   = regexp.MustCompile(`^(?:(?:GET|POST|PUT|DELETE) )?(/(?:api/(?:validator|scan|sv)/\S+|v\d+/\S+|\w+))$`)
	methodRule = regexp.MustCompile(`^/(?:com|splicetest)\.\S+/\w+$`)
)

// directories look like endpoints of one word.
var directories = []string{"/tmp", "/data", "/proc"}

// named collects every endpoint and every method that a source file names in a
// text of its own.
func named(t *testing.T) (endpoints, methods map[string]string) {
	t.Helper()
	endpoints, methods = map[string]string{}, map[string]string{}
	for _, dir := range []string{"../splicetest", "../../canton", "../../identities"} {
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() && entry.Name() == "apiserver" {
				return fs.SkipDir // it starts the real one, and imitates nothing
			}
			if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			for _, text := range texts(t, path) {
				switch m := pathRule.FindStringSubmatch(text); {
				case methodRule.MatchString(text):
					methods[text] = path
				case m != nil && filepath.Base(path) == "scan.go": // its paths go without what they share
					endpoints["/api/scan"+m[1]] = path
				case m != nil && !slices.Contains(directories, m[1]):
					endpoints[m[1]] = path
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return endpoints, methods
}

// texts are the strings in a source file.
func texts(t *testing.T, path string) (out []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, text)
		}
		return true
	})
	return out
}

// What the imitations serve and the program asks for is in the tables, and
// nothing else is.
func TestTheTablesNameEveryEndpointAndMethod(t *testing.T) {
	endpoints, methods := named(t)
	for heading, found := range map[string]map[string]string{"HTTP": endpoints, "gRPC": methods} {
		rows := table(t, heading)
		for name, file := range found {
			if _, ok := rows[name]; !ok {
				t.Errorf("%s is named in %s and not in the table of %s", name, file, heading)
			}
		}
		for name := range rows {
			if _, ok := found[name]; !ok {
				t.Errorf("%s is in the table of %s, and no source names it", name, heading)
			}
		}
	}
}

// A message or method that the table gives to the protobufs is in them; one
// that it gives to the sources alone is not.
func TestTheTablesSayWhatTheProtobufsHave(t *testing.T) {
	var names []string
	run(t, "names.mjs", nil, &names)
	for _, heading := range []string{"gRPC", "Messages"} {
		for name, r := range table(t, heading) {
			has, says := slices.Contains(names, name), r.heldBy == "`core-ledger-proto`"
			if has != says {
				t.Errorf("%s: the table says %s, and the protobufs have it: %v", name, r.heldBy, has)
			}
		}
	}
}

// The versions of the page are those that are installed.
func TestTheTablesSayTheVersions(t *testing.T) {
	text, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Dependencies map[string]string }
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for name, r := range table(t, "Packages") {
		said[name] = r.heldBy
	}
	if !maps.Equal(said, manifest.Dependencies) {
		t.Errorf("the page says %v, package.json %v", said, manifest.Dependencies)
	}
}
