package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// typed are the commands that hints about a compose node name, and the test that
// types each one and goes on from there.
var typed = map[string]string{
	"DOCKER_HOST=X docker info":                   "TestTheDaemonIsTheOneOfTheDockerCommand",
	"docker cp X:X X.data":                        "TestOverlays",
	"docker exec X pg_dumpall -U X >X.sql":        "TestOverlays",
	"docker inspect X":                            "TestAdviceOnTheDaemonLeadsOn",
	"docker logs X":                               "TestAServerThatDoesNotLetIn",
	"docker network create X":                     "TestAdviceOnTheDaemonLeadsOn",
	"docker network rm X":                         "TestAdviceOnTheDaemonLeadsOn",
	"docker rename X OTHER":                       "TestAdviceOnTheDaemonLeadsOn",
	"docker rm -f X":                              "TestOverlays",
	"docker start X":                              "TestAServerThatDoesNotLetIn",
	"docker stop X":                               "TestAServerThatDoesNotLetIn",
	"docker unpause X":                            "TestAServerThatDoesNotLetIn",
	"docker volume inspect X":                     "TestAdviceOnTheDaemonLeadsOn",
	"holdfast init --service X=X":                 "TestAdviceOnADoubtLeadsOn",
	"holdfast node show":                          "TestAServerThatDoesNotLetIn",
	"holdfast restore latest":                     "TestANodeComesBackWhereNothingOfItIs",
	"holdfast restore X":                          "TestOverlays",
	"holdfast restore rehearse":                   "TestANodeWithMoreInIt",
	"holdfast restore undo":                       "TestAVolumeThatPostgresCannotStartOnIsKept",
	"holdfast restore X --fresh-volume":           "TestPostgresFailsDuringARestore",
	"holdfast check --explain data_outlives_stop": "TestOverlays",
	"docker run --rm --volumes-from X --user 0 --entrypoint find X X X -mindepth 1 -delete": "TestOverlays",
	"docker stop X && docker cp -a X:X X.data && docker cp -a X:X X.wal":                    "TestOverlays",
	"holdfast export X DIR && X": "TestOverlays",
}

// untyped are commands that no test can type, and why.
var untyped = map[string]string{"docker pull X": "there is no registry to pull from"}

var (
	inBackticks = regexp.MustCompile("`([^`]+)`")
	// A word of docker alone names a command, and is none that could be typed.
	isCommand = regexp.MustCompile(`^(docker \S+ |holdfast |DOCKER_HOST=X docker )`)
)

// types are the helpers of tests that type whatever a refusal advises.
var types = []string{"typesAll", "follow"}

// lines are what a test types, as its source has it: its texts, and the arguments
// of its calls as one line, also those of the functions of its package that it
// calls. All says that it types whatever is advised.
func lines(declared map[string]*ast.FuncDecl, name string, seen map[string]bool) (out []string, all bool) {
	if seen[name] || declared[name] == nil {
		return nil, slices.Contains(types, name)
	}
	seen[name] = true
	all = slices.Contains(types, name)
	ast.Inspect(declared[name], func(n ast.Node) bool {
		if e, is := n.(ast.Expr); is {
			if text, ok := literal(e); ok {
				out = append(out, text)
			}
		}
		call, is := n.(*ast.CallExpr)
		if !is {
			return true
		}
		words := make([]string, len(call.Args))
		for i, arg := range call.Args {
			words[i], _ = literal(arg)
		}
		out = append(out, strings.Join(words, " "))
		called, everything := lines(declared, nameOf(call.Fun), seen)
		out, all = append(out, called...), all || everything
		return true
	})
	return out, all
}

// nameOf is the name of a function or method that is called.
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.IndexExpr:
		return nameOf(e.X)
	}
	return ""
}

// has reports whether a line has the words of a command, in their order. X stands
// for any, and holdfast is the program that the tests' helpers run.
func has(line, command string) bool {
	rest := strings.Fields(line)
	for _, word := range strings.Fields(strings.TrimPrefix(command, "holdfast ")) {
		if word == strings.ToUpper(word) && strings.Trim(word, "&") != "" && !strings.HasPrefix(word, "-") {
			continue // what stands for something
		}
		i := slices.Index(rest, word)
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
	}
	return true
}

// declaredWith are the functions of the package of a test, by name.
func declaredWith(t *testing.T, test string) map[string]*ast.FuncDecl {
	t.Helper()
	for _, path := range sources(t, "_test.go") {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), "\nfunc "+test+"(t ") {
			continue
		}
		declared := map[string]*ast.FuncDecl{}
		beside, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range beside {
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					declared[fn.Name.Name] = fn
				}
			}
		}
		return declared
	}
	return nil
}

// Every command that a hint about a compose node names is typed by a test: its
// words are there, or it types whatever is advised.
func TestEveryCommandOfAComposeNodeIsTyped(t *testing.T) {
	named := map[string]string{}
	for _, hint := range hints(t) {
		if !strings.Contains(hint.at, "node/compose/") && !strings.Contains(hint.at, "internal/docker/") {
			continue
		}
		for _, m := range inBackticks.FindAllStringSubmatch(hint.text, -1) {
			if command := verb.ReplaceAllString(m[1], "X"); isCommand.MatchString(command) && untyped[command] == "" {
				named[command] = hint.at
			}
		}
	}
	for _, command := range slices.Sorted(maps.Keys(named)) {
		name, known := typed[command]
		if !known {
			t.Errorf("%s: no test types `%s`", named[command], command)
			continue
		}
		declared := declaredWith(t, name)
		if declared == nil {
			t.Errorf("`%s`: there is no %s", command, name)
			continue
		}
		said, all := lines(declared, name, map[string]bool{})
		if !all && !slices.ContainsFunc(said, func(line string) bool { return has(line, command) }) {
			t.Errorf("%s does not type `%s`", name, command)
		}
	}
	for command := range typed {
		if named[command] == "" {
			t.Errorf("no hint names `%s` any more", command)
		}
	}
}
