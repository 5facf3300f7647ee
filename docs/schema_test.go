package docs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"holdfast"
	"holdfast/backup"
	"holdfast/check"
	"holdfast/config"
	"holdfast/content"
	"holdfast/cycle"
	"holdfast/drill"
	"holdfast/export"
	"holdfast/history"
	"holdfast/inspect"
	"holdfast/internal/splicetest"
	"holdfast/node/compose"
	"holdfast/record"
	"holdfast/repository"
	"holdfast/restore"
	"holdfast/retention"
	"holdfast/setup"
	"holdfast/step"
	"holdfast/verify"
)

// loadSchema reads a schema file. A reader of version 1 has to pass over
// fields it does not know, so the published schemas allow them; strictly makes
// every object that lists its fields refuse others, so that a field which the
// program prints and the schema does not have is found here.
func loadSchema(t *testing.T, name string, strictly bool) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("schema", name))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if strictly {
		closeObjects(doc)
	}
	return doc
}

func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if _, lists := v["properties"]; lists && v["type"] == "object" {
			v["additionalProperties"] = false
		}
		for _, child := range v {
			closeObjects(child)
		}
	case []any:
		for _, child := range v {
			closeObjects(child)
		}
	}
}

const base = "https://schemas.example/"

// compileSchema makes the validator of one of the schemas; the two refer to
// each other.
func compileSchema(t *testing.T, name string, strictly bool) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for _, n := range []string{"set.schema.json", "output.schema.json"} {
		if err := c.AddResource(base+n, loadSchema(t, n, strictly)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(base + name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validator checks output against both forms of the schema, and notes the
// kinds it has seen.
type validator struct {
	strict, published *jsonschema.Schema
	seen              map[string]bool
}

func (v validator) check(t *testing.T, kind, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("kind %s: %v\n%s", kind, err, text)
	}
	if got := doc.(map[string]any)["kind"]; got != kind {
		t.Fatalf("kind %v, want %s\n%s", got, kind, text)
	}
	for _, s := range []*jsonschema.Schema{v.strict, v.published} {
		if err := s.Validate(doc); err != nil {
			t.Errorf("kind %s: %v", kind, err)
		}
	}
	v.seen[kind] = true
}

// Every kind of output, printed for real, is as docs/schema says.
func TestOutputIsAsTheSchemaSays(t *testing.T) {
	v := validator{compileSchema(t, "output.schema.json", true), compileSchema(t, "output.schema.json", false), map[string]bool{}}
	s := newSite(t, splicetest.NodeOptions{App: true})
	out := func(kind string, exit int, args ...string) string {
		t.Helper()
		r := s.holdfast(t, exit, append(args, "--output", "json")...)
		if exit != 0 {
			v.check(t, "error", r.stderr)
		}
		if kind != "error" {
			v.check(t, kind, r.stdout)
		}
		return r.stdout
	}
	v.check(t, "setup", s.init(t, "--database", "app="+s.node.AppDSN(), "--output", "json").stdout)
	out("version", 0, "version")
	out("config", 0, "config", "show", "--origin")
	out("node", 0, "node", "show")
	out("findings", 0, "config", "check", "--live")
	out("sets", 0, "list")
	out("error", 7, "show", "latest")
	out("backup-plan", 0, "backup", "--dry-run")
	out("set", 0, "backup")
	out("backup-plan", 0, "backup", "--dry-run")
	out("set", 0, "show", "latest")
	out("sets", 0, "list")
	out("identities", 0, "identities", "fetch")
	out("identities", 0, "identities", "show")
	out("identity-places", 0, "identities", "places")
	out("recovery-key", 0, "identities", "new-recovery-key", "--shares", "3", "--threshold", "2", "--directory", "shares")
	out("verify-plan", 0, "verify", "--read-data", "--dry-run")
	out("verify", 0, "verify", "--sample", "50%")
	out("rebuilt-index", 0, "verify", "--rebuild-index")
	out("drill-plan", 0, "drill", "--dry-run")
	out("drill", 0, "drill")
	out("restore-plan", 0, "restore", "latest")
	out("export", 0, "export", "latest", "exported")
	out("copies", 0, "repository", "copy", "--to", "second")
	out("restore-plan", 0, "restore", "latest")
	out("restore-report", 0, "restore", "rehearse", "latest", "--yes")
	out("error", 7, "restore", "undo", "--yes")
	out("leftovers", 0, "restore", "clean")
	out("restore-report", 0, "restore", "latest", "--yes")
	out("undo-plan", 0, "restore", "undo")
	out("moves", 0, "restore", "undo", "--yes")
	var left struct{ Value []step.Leftover }
	if err := json.Unmarshal([]byte(out("leftovers", 0, "restore", "clean")), &left); err != nil || len(left.Value) == 0 {
		t.Fatalf("leftovers: %v, %v", left, err)
	}
	out("dropped", 0, "restore", "clean", left.Value[0].Name)
	s.dump(t, s.node.ValidatorDSN(), "-f", "validator.sql")
	s.dump(t, s.node.ParticipantDSN(), "-Fc", "-f", "participant.dump")
	out("inspection", 0, "inspect", "validator.sql", "participant.dump")
	out("inspection", 5, "inspect", "validator.sql")
	out("check", 4, "check") // nothing was rehearsed yet
	out("check", 5, "check", "--only", "second_copy")
	out("check", 0, "check", "--only", "repository_readable")
	out("catalogue", 0, "check", "--list")
	out("history", 0, "history")
	out("findings", 0, "identities", "test-recovery-key", "--key-file", "recovery.key")
	out("reonboarding", 0, "reonboard", "--key-file", "recovery.key")
	out("dropped", 0, "reonboard", "clean")
	s.account(t)
	out("cloud-rehearsal", 0, "cloud", "rehearse", "--config", "cloud.yaml")
	out("error", 2, "nonsense")
	out("error", 2, "restore", "no-such-set")

	s.app.SetFault(splicetest.CutJSON)
	out("set", 3, "backup") // unproven: without identities of today
	s.app.SetFault(splicetest.Healthy)
	s.app.SetDump(splicetest.NewNode(t, splicetest.NodeOptions{Hint: "other-validator"}).Identities.JSON)
	out("set", 1, "backup") // mismatched: another node's identities
	out("sets", 0, "list", "--state", "mismatched")
	out("retention-plan", 0, "retention")
	out("pins", 0, "retention", "pin", "latest", "--reason", "audit", "--until", "30d")
	out("audit", 0, "audit")
	out("retention-report", 0, "retention", "--yes")
	out("error", 7, "retention", "drop", "latest", "--yes")
	if err := os.WriteFile(filepath.Join(s.dir, "next.password"), []byte("another long password\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out("moved", 0, "repository", "move", "--to", "moved")
	out("password", 0, "repository", "password", "--new", "file:next.password")

	for _, kind := range schemaKinds(t) {
		if !v.seen[kind] {
			t.Errorf("no output of kind %s was checked", kind)
		}
	}
}

// schemaKinds lists the kinds that the schema knows.
func schemaKinds(t *testing.T) []string {
	t.Helper()
	kinds := []string{"error"}
	branches := loadSchema(t, "output.schema.json", false).(map[string]any)["oneOf"].([]any)
	for _, k := range branches[1].(map[string]any)["properties"].(map[string]any)["kind"].(map[string]any)["enum"].([]any) {
		kinds = append(kinds, k.(string))
	}
	return kinds
}

// A node that keeps its keys in a KMS has other facts in its sets.
func TestSetOfKMSNodeIsAsTheSchemaSays(t *testing.T) {
	v := validator{compileSchema(t, "output.schema.json", true), compileSchema(t, "output.schema.json", false), map[string]bool{}}
	s := newSite(t, splicetest.NodeOptions{KMS: true})
	s.init(t)
	v.check(t, "set", s.holdfast(t, 0, "backup", "--output", "json").stdout)
	v.check(t, "identities", s.holdfast(t, 0, "identities", "show", "--output", "json").stdout)
}

// The schemas name exactly the fields that the program can write, those that
// no test node happens to have included.
func TestSchemaHasEveryField(t *testing.T) {
	for _, c := range []struct {
		file, def string
		value     any
	}{
		{"set.schema.json", "set", holdfast.Set{}},
		{"set.schema.json", "rows", content.Rows{}},
		{"set.schema.json", "serverFiles", content.ServerFiles{}},
		{"set.schema.json", "reference", content.Reference{}},
		{"set.schema.json", "composeDescription", compose.Description{}},
		{"output.schema.json", "backupPlan", backup.Plan{}},
		{"output.schema.json", "restorePlan", restore.Plan{}},
		{"output.schema.json", "restoreReport", restore.Report{}},
		{"output.schema.json", "entry", record.Set{}},
		{"output.schema.json", "retentionPlan", retention.Plan{}},
		{"output.schema.json", "retentionReport", retention.Report{}},
		{"output.schema.json", "upkeep", record.Maintenance{}},
		{"output.schema.json", "pin", record.Pin{}},
		{"output.schema.json", "export", export.Report{}},
		{"output.schema.json", "inspection", inspect.Report{}},
		{"output.schema.json", "leftover", step.Leftover{}},
		{"output.schema.json", "sent", repository.Sent{}},
		{"output.schema.json", "move", step.Move{}},
		{"output.schema.json", "verifyPlan", verify.Plan{}},
		{"output.schema.json", "verification", verify.Report{}},
		{"output.schema.json", "rebuilt", repository.Rebuilt{}},
		{"output.schema.json", "drillPlan", drill.Plan{}},
		{"output.schema.json", "drill", drill.Report{}},
		{"output.schema.json", "setting", config.Origin{}},
		{"output.schema.json", "identityPlace", setup.IdentityPlace{}},
		{"output.schema.json", "trail", record.Trail{}},
		{"output.schema.json", "check", check.Report{}},
		{"output.schema.json", "history", history.Report{}},
		{"output.schema.json", "catalogueEntry", check.Entry{}},
		{"output.schema.json", "cloudRehearsal", cycle.Report{}},
	} {
		t.Run(c.def, func(t *testing.T) {
			w := walker{t: t, files: map[string]any{}}
			w.compare(c.def, reflect.TypeOf(c.value), c.file, map[string]any{"$ref": "#/$defs/" + c.def})
		})
	}
}

// walker walks a Go type and a schema side by side.
type walker struct {
	t     *testing.T
	files map[string]any
}

// resolve follows references; the file is the one that the schema then is in.
func (w walker) resolve(file string, s map[string]any) (string, map[string]any) {
	for {
		if options, ok := s["oneOf"].([]any); ok {
			s = options[len(options)-1].(map[string]any)
		}
		ref, ok := s["$ref"].(string)
		if !ok {
			return file, s
		}
		other, path, _ := strings.Cut(ref, "#")
		if other != "" {
			file = other
		}
		if w.files[file] == nil {
			w.files[file] = loadSchema(w.t, file, false)
		}
		s = w.files[file].(map[string]any)
		for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
			if part != "" {
				s = s[part].(map[string]any)
			}
		}
	}
}

func (w walker) compare(path string, typ reflect.Type, file string, schema map[string]any) {
	file, schema = w.resolve(file, schema)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	switch {
	case typ == reflect.TypeFor[json.RawMessage](): // whoever writes it has a definition of its own
	case typ.Kind() == reflect.Slice:
		items, ok := schema["items"].(map[string]any)
		if !ok {
			w.t.Errorf("%s: the schema has no items", path)
			return
		}
		w.compare(path+"[]", typ.Elem(), file, items)
	case typ.Kind() == reflect.Struct && !reflect.PointerTo(typ).Implements(reflect.TypeFor[json.Unmarshaler]()) && typ != reflect.TypeFor[content.Digest]():
		fields := jsonFields(typ)
		properties, _ := schema["properties"].(map[string]any)
		required, _ := schema["required"].([]any)
		for name := range properties {
			if _, ok := fields[name]; !ok {
				w.t.Errorf("%s: the schema has a field %s, the program has not", path, name)
			}
		}
		for name, f := range fields {
			property, ok := properties[name].(map[string]any)
			if !ok {
				w.t.Errorf("%s: the schema lacks the field %s", path, name)
				continue
			}
			if slices.Contains(required, any(name)) == f.optional {
				w.t.Errorf("%s.%s: required in the schema is %v, omitted when empty is %v", path, name, !f.optional, f.optional)
			}
			w.compare(path+"."+name, f.typ, file, property)
		}
	}
}

type jsonField struct {
	typ      reflect.Type
	optional bool
}

// jsonFields are the fields of a struct as encoding/json names them.
func jsonFields(typ reflect.Type) map[string]jsonField {
	out := map[string]jsonField{}
	for _, f := range reflect.VisibleFields(typ) {
		if !f.IsExported() || f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		out[name] = jsonField{f.Type, strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")}
	}
	return out
}
