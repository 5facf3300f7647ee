package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"holdfast/config"
)

// Commands, flags and keys that a hint of the program names exist: whoever types
// one at night must not be sent elsewhere.
func TestNamesInHintsExist(t *testing.T) {
	help := helpTexts(t)
	every := strings.Join(slices.Collect(maps.Values(help)), "\n")
	keys := configKeys(reflect.TypeFor[config.Config](), "")
	seen := 0
	for _, hint := range hints(t) {
		for _, m := range span.FindAllStringSubmatch(hint.text, -1) {
			word := strings.TrimSuffix(verb.ReplaceAllString(m[1], "X"), ":")
			setting := named.ReplaceAllString(word, "databases.")
			top, _, dotted := strings.Cut(setting, ".")
			switch name := flag.FindStringSubmatch(word); {
			case strings.HasPrefix(word, "holdfast "):
				for _, part := range regexp.MustCompile(`[|;]|&&`).Split(word, -1) {
					if part = strings.TrimSpace(part); !strings.HasPrefix(part, "holdfast ") ||
						strings.HasPrefix(part, "holdfast help") {
						continue
					}
					seen++
					if err := known(help, part); err != nil {
						t.Errorf("%s: %q: %v", hint.at, hint.text, err)
					}
				}
			case strings.HasPrefix(word, "--") && name != nil:
				seen++
				if !strings.Contains(every, name[2]+" ") && !strings.Contains(every, name[2]+"\n") {
					t.Errorf("%s: %q: no command has the flag %s", hint.at, hint.text, name[2])
				}
			case dotted && slices.Contains(keys, top) && isSetting.MatchString(setting):
				seen++
				if setting, _, _ = strings.Cut(setting, ":"); !slices.Contains(keys, setting) {
					t.Errorf("%s: %q: there is no setting %s", hint.at, hint.text, setting)
				}
			}
		}
	}
	const most = 100 // far fewer than there are, and more than a test that reads nothing finds
	if seen < most {
		t.Errorf("only %d names were looked up", seen)
	}
}

var (
	verb      = regexp.MustCompile(`%(\[\d\])?[a-z]`)
	isSetting = regexp.MustCompile(`^[a-z_.]+(: .*)?$`)
)

// hint is a text of the program with something to type in it.
type hint struct{ at, text string }

// hints are the texts of the program that have something in backticks.
func hints(t *testing.T) (out []hint) {
	t.Helper()
	files := token.NewFileSet()
	for _, path := range sources(t, ".go") {
		if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "../internal/") && !strings.Contains(path, "/docker/") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			e, is := n.(ast.Expr)
			if !is {
				return true
			}
			text, whole := literal(e)
			if strings.Count(text, "`") >= 2 {
				out = append(out, hint{files.Position(n.Pos()).String(), text})
			}
			return !whole
		})
	}
	return out
}

// literal is a text of string literals that are added; what is no literal in
// between counts as a word.
func literal(e ast.Expr) (text string, whole bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, isLeft := literal(e.X)
		right, isRight := literal(e.Y)
		if e.Op != token.ADD || !isLeft && !isRight {
			return "", false
		}
		if !isLeft {
			left = "X"
		}
		if !isRight {
			right = "X"
		}
		return left + right, true
	}
	return "", false
}
