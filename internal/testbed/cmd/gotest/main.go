// Gotest runs go test strictly: it prints the output of what failed, lists every
// skipped test, and fails when the reason of a skip is not in the list of allowed
// ones. It ends with the tests that took longest and a line of totals. The times
// in that line are processor time of each go test, with every process that its
// tests waited for.
// Each -- begins the arguments of another go test; they run one after the other,
// whatever comes of them.
//
//	go run ./internal/testbed/cmd/gotest -allow internal/testbed/skips.txt -- -race ./... -- ./slow
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
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
	slowest := flag.Int("slowest", 0, "how many of the slowest tests to list")
	flag.Parse()
	failed, err := run(*allow, *slowest, flag.Args(), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(2)
	}
	if failed {
		os.Exit(1)
	}
}

func run(allow string, slowest int, args []string, out io.Writer) (failed bool, err error) {
	allowed, err := reasons(allow)
	if err != nil {
		return false, err
	}
	t := tally{output: map[string]*strings.Builder{}, allowed: allowed, out: out, slowest: slowest}
	broken := false
	for _, each := range runs(args) {
		failed, err := t.run(each)
		if err != nil {
			return false, err
		}
		broken = broken || failed
	}
	return t.finish(broken), nil
}

// runs divides arguments at each --.
func runs(args []string) (list [][]string) {
	for {
		i := slices.Index(args, "--")
		if i < 0 {
			return append(list, args)
		}
		list, args = append(list, args[:i]), args[i+1:]
	}
}

// run is one go test.
func (t *tally) run(args []string) (failed bool, err error) {
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
			fmt.Fprintln(t.out, lines.Text()) // the compiler's output
			continue
		}
		t.take(e)
	}
	waitErr := cmd.Wait()
	t.spent = append(t.spent, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
	return waitErr != nil, lines.Err()
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

// tally counts tests and keeps their output until they have ended.
type tally struct {
	output                  map[string]*strings.Builder
	allowed                 []string
	out                     io.Writer
	passed, failed, skipped int
	unlisted                []string
	spent                   []time.Duration // by each go test
	slowest                 int             // how many of took to list
	took                    []timed
}

// timed is how long one test took with all of its subtests.
type timed struct {
	name    string
	seconds float64
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
			}
			mark := map[string]string{"pass": "ok", "fail": "FAIL", "skip": "-"}[e.Action]
			elapsed := time.Duration(e.Elapsed * float64(time.Second)).Round(100 * time.Millisecond)
			fmt.Fprintf(t.out, "%-4s %s %v\n", mark, e.Package, elapsed)
			return
		}
		t.count(e, key, text)
	}
}

func (t *tally) count(e event, key, text string) {
	if !strings.Contains(e.Test, "/") {
		t.took = append(t.took, timed{key, e.Elapsed})
	}
	switch e.Action {
	case "pass":
		t.passed++
	case "fail":
		t.failed++
		fmt.Fprint(t.out, text)
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

// finish prints the totals; broken means that go test itself failed.
func (t *tally) finish(broken bool) bool {
	for _, b := range t.output {
		fmt.Fprint(t.out, b.String()) // of tests that never ended
	}
	sort.Strings(t.unlisted)
	for _, s := range t.unlisted {
		fmt.Fprintf(t.out, "skipped for a reason that is not allowed: %s", s)
	}
	t.listSlowest()
	var spent []string
	for _, d := range t.spent {
		spent = append(spent, d.Round(time.Second).String())
	}
	fmt.Fprintf(t.out, "\n%d passed, %d failed, %d skipped, %s of processor time\n",
		t.passed, t.failed, t.skipped, strings.Join(spent, " + "))
	return broken || t.failed > 0 || len(t.unlisted) > 0 || t.passed == 0
}

func (t *tally) listSlowest() {
	slices.SortFunc(t.took, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	for _, test := range t.took[:min(t.slowest, len(t.took))] {
		fmt.Fprintf(t.out, "%6.1f s  %s\n", test.seconds, test.name)
	}
}
