package web_test

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"holdfast/docs/schema"
	"holdfast/web"
	"holdfast/web/storybook"
)

// story serves one of the prepared states.
func story(t *testing.T, name string) http.Handler {
	t.Helper()
	stories := storybook.Stories()
	i := slices.IndexFunc(stories, func(s storybook.Story) bool { return s.Name == name })
	return handlerOf(t, stories[i].Site)
}

func handlerOf(t *testing.T, site web.Site) http.Handler {
	t.Helper()
	h, err := site.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func get(h http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
	return w
}

// The interface serves exactly the paths that its document lists, and each answer
// is as the document says, in every state of a node.
func TestAPIIsAsItsDocumentSays(t *testing.T) {
	handlers := map[string]http.Handler{}
	for _, state := range []string{"calm", "violated", "doubtful", "fresh", "running", "unreachable", "closed"} {
		handlers[state] = story(t, state)
	}
	good := handlers["calm"]
	var document any
	if err := json.Unmarshal(get(good, "/api/v1/openapi.json").Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	add := func(name string, text any) {
		if err := compiler.AddResource("http://holdfast/"+name, text); err != nil {
			t.Fatal(err)
		}
	}
	add("openapi.json", document)
	files, _ := fs.Glob(schema.Files, "*.json")
	for _, name := range files {
		text, err := jsonschema.UnmarshalJSON(strings.NewReader(get(good, "/api/v1/schema/"+name).Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		add(name, text)
	}
	var listed []string
	for path, item := range document.(map[string]any)["paths"].(map[string]any) {
		listed = append(listed, path)
		for code := range item.(map[string]any)["get"].(map[string]any)["responses"].(map[string]any) {
			at := "http://holdfast/openapi.json#/paths/" + strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(path) +
				"/get/responses/" + code + "/content/application~1json/schema"
			wanted, err := compiler.Compile(at)
			if err != nil {
				t.Fatal(err)
			}
			check := func(state string, h http.Handler, filled string) {
				w := get(h, filled)
				if got := w.Code; strings.TrimSpace(code) != jsonNumber(got) {
					if code == "200" && got != http.StatusNotFound {
						t.Errorf("%s: %s answers %d", state, filled, got)
					}
					return
				}
				value, err := jsonschema.UnmarshalJSON(w.Body)
				if err == nil {
					err = wanted.Validate(value)
				}
				if err != nil {
					t.Errorf("%s: %s: %v", state, filled, err)
				}
			}
			fill := strings.NewReplacer("{node}", "validator-zrh-1", "{set}", "20261126T123000Z-b10c00b3", "{file}", "set.schema.json")
			switch code {
			case "200":
				for state, h := range handlers {
					if state != "closed" {
						check(state, h, fill.Replace(path))
					}
				}
			case "401":
				check("closed", handlers["closed"], fill.Replace(path))
			case "404":
				check("calm", good, strings.NewReplacer("{node}", "nobody", "{set}", "x", "{file}", "x").Replace(path))
			}
		}
	}
	slices.Sort(listed)
	if served := web.Paths(); !slices.Equal(listed, served) {
		t.Errorf("listed\n%s\nserved\n%s", strings.Join(listed, "\n"), strings.Join(served, "\n"))
	}
}

// Every screen that shows a set says that it is in doubt, and the interface does.
func TestDoubtIsShown(t *testing.T) {
	const node, set = "/nodes/validator-zrh-1", "/sets/20261126T123000Z-b10c00b3"
	doubtful, calm := story(t, "doubtful"), story(t, "calm")
	for path, want := range map[string]string{
		node + "/":                 "This set is in doubt. <code>holdfast restore latest</code> takes another one",
		node + "/timeline":         "proven, in doubt</title>",
		node + set:                 "changed without a transaction",
		"/api/v1" + node + "/sets": `"in_doubt"`, "/api/v1" + node + "/history": `"in_doubt"`,
		"/api/v1" + node + set: `"in_doubt"`,
	} {
		if page := get(doubtful, path).Body.String(); !strings.Contains(page, want) {
			t.Errorf("%s does not say %q", path, want)
		}
		if page := get(calm, path).Body.String(); strings.Contains(page, want) {
			t.Errorf("%s says %q of a node without doubts", path, want)
		}
	}
}

func jsonNumber(n int) string {
	text, _ := json.Marshal(n)
	return string(text)
}
