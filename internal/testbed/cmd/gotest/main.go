// Gotest runs go test and lets nothing pass unnoticed: it prints the output of
// what failed, names every skipped test, and fails when one was skipped whose
// reason is not in the list of allowed ones. It ends with a line of totals.
//
// The tests start real servers and watch real clocks, and a busy machine can
// make one late. So a few failed tests are run once more, each alone; one that
// passes then is named as unsteady, for somebody to look into.
//
//	go run ./internal/testbed/cmd/gotest -allow internal/testbed/skips.txt -- -race ./...
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"
)

// event is one line of go test -json.
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

func main() {
	allow := flag.String("allow", "", "file with the reasons for which a test may be skipped, one per line")
	flag.Parse()
	failed, err := run(*allow, flag.Args(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func run(allow string, args []string, out io.Writer) (failed bool, err error) {
	allowed, err := reasons(allow)
	if err != nil {
		return false, err
	}
	t := &tally{output: map[string]*strings.Builder{}, allowed: allowed, out: out}
	broken, err := t.test(args)
	if err != nil {
		return false, err
	}
	broken = t.again(args, broken)
	return t.finish(broken), nil
}

// test runs go test with the arguments; broken tells that it failed.
func (t *tally) test(args []string) (broken bool, err error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(t.out, lines.Text()) // what the compiler says
			continue
		}
		t.take(e)
	}
	return cmd.Wait() != nil, lines.Err()
}

// mostAgain is how many failed tests are tried again; more are no accident.
const mostAgain = 5

// again runs the failed tests once more, and returns whether anything is still
// broken. What failed without a test's name, such as a package that does not
// compile, is not tried again.
func (t *tally) again(args []string, broken bool) bool {
	if !broken || len(t.failures) == 0 || len(t.failures) > mostAgain || t.nameless > 0 {
		return broken
	}
	var flags []string
	for _, a := range args {
		if strings.HasPrefix(a, "-race") || strings.HasPrefix(a, "-timeout") {
			flags = append(flags, a)
		}
	}
	still := false
	for _, f := range t.failures {
		second := &tally{output: map[string]*strings.Builder{}, allowed: t.allowed, out: t.out}
		fmt.Fprintf(t.out, "once more, alone: %s %s\n", f.Package, f.Test)
		failed, err := second.test(append(flags[:len(flags):len(flags)], "-count=1", "-run", "^"+f.Test+"$", f.Package))
		if failed || err != nil || second.passed == 0 {
			still = true
			continue
		}
		t.unsteady = append(t.unsteady, f.Package+" "+f.Test)
		t.failed--
		t.passed++
	}
	return still
}

func reasons(path string) ([]string, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, line := range strings.Split(string(text), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out, nil
}

// tally counts tests and keeps their output until it is known to matter.
type tally struct {
	output                  map[string]*strings.Builder
	allowed                 []string
	out                     io.Writer
	passed, failed, skipped int
	unlisted                []string
	failures                []event // of tests that are not part of another
	nameless                int     // packages that failed without one
	unsteady                []string
}

func (t *tally) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		if t.output[key] == nil {
			t.output[key] = &strings.Builder{}
		}
		t.output[key].WriteString(e.Output)
	case "pass", "fail", "skip":
		text := ""
		if b := t.output[key]; b != nil {
			text = b.String()
		}
		delete(t.output, key)
		if e.Test == "" {
			if e.Action == "fail" {
				fmt.Fprint(t.out, text)
				if !t.failedIn(e.Package) {
					t.nameless++
				}
			}
			fmt.Fprintf(t.out, "%-4s %s %v\n", map[string]string{"pass": "ok", "fail": "FAIL", "skip": "-"}[e.Action], e.Package, time.Duration(e.Elapsed*float64(time.Second)).Round(100*time.Millisecond))
			return
		}
		t.count(e, key, text)
	}
}

func (t *tally) count(e event, key, text string) {
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		fmt.Fprint(t.out, text)
		// A part that fails makes the whole fail, which is counted.
		if !strings.Contains(e.Test, "/") {
			t.failed++
			t.failures = append(t.failures, e)
		}
	case "skip":
		t.skipped++
		for _, reason := range t.allowed {
			if strings.Contains(text, reason) {
				return
			}
		}
		t.unlisted = append(t.unlisted, key+"\n"+text)
	}
}

func (t *tally) failedIn(pkg string) bool {
	for _, f := range t.failures {
		if f.Package == pkg {
			return true
		}
	}
	return false
}

// finish prints the totals; broken tells that go test itself failed.
func (t *tally) finish(broken bool) bool {
	for _, b := range t.output {
		fmt.Fprint(t.out, b.String()) // of what never ended
	}
	sort.Strings(t.unlisted)
	for _, s := range t.unlisted {
		fmt.Fprintf(t.out, "skipped for a reason that is not allowed: %s", s)
	}
	for _, name := range t.unsteady {
		fmt.Fprintf(t.out, "UNSTEADY, passed when run again: %s\n", name)
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return broken || t.failed > 0 || len(t.unlisted) > 0 || t.passed == 0
}
