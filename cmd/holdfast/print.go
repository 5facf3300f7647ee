package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"holdfast/internal/printable"

	"golang.org/x/term"

	"holdfast"
)

// outputSchema is the version of what --output json prints; docs/schema has
// its description.
const outputSchema = 1

// result prints one value: as JSON with a header, or as the text that fn
// prints.
func (a *app) result(kind string, value any, text func()) error {
	if a.output != "json" {
		text()
		return nil
	}
	return a.json(a.whole.out, struct {
		Schema int    `json:"schema"`
		Kind   string `json:"kind"`
		Value  any    `json:"value"`
	}{outputSchema, kind, value})
}

// json prints a value without the secrets that are known.
func (a *app) json(w io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return err
	}
	_, err := w.Write(printable.JSON(a.known.HideJSON(text.Bytes())))
	return err
}

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.out, format, args...) }

// asks reports whether an operator at a terminal can answer.
func (a *app) asks() bool {
	file, ok := a.in.(*os.File)
	return ok && a.output == "text" && term.IsTerminal(int(file.Fd()))
}

// confirm asks for a yes, written out.
func (a *app) confirm(what string) bool {
	_, _ = fmt.Fprintf(a.err, "\n%s? Type yes: ", what)
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	return strings.TrimSpace(line) == "yes"
}

// table prints rows in columns, the first one being the header. They are written at
// once: a column writer writes each cell and each space by itself, which costs a list
// of thousands of sets a tenth of its time.
func (a *app) table(rows [][]string) {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable.Cell(cell)
		}
		_, _ = fmt.Fprintln(w, short(strings.Join(cells, "\t")))
	}
	_ = w.Flush()
	_, _ = text.WriteTo(a.out)
}

var fingerprint = regexp.MustCompile(`(1220[0-9a-f]{8})[0-9a-f]{56}`)

// short cuts Canton's fingerprints as Canton's own console does; JSON output
// has them whole.
func short(text string) string { return fingerprint.ReplaceAllString(text, "$1...") }

// asksForJSON reports whether a command line wants JSON, for errors that come
// before it has been read.
func asksForJSON(args []string) bool {
	for i, arg := range args {
		switch arg {
		case "--":
			return false
		case "-ojson", "-o=json", "--output=json":
			return true
		case "json":
			if i > 0 && (args[i-1] == "-o" || args[i-1] == "--output") {
				return true
			}
		}
	}
	return false
}

// warn says what is wrong besides the command's own subject.
func (a *app) warn(err error) {
	_, do := holdfast.Advice(err)
	_, _ = fmt.Fprintf(a.err, "Warning: %s\n  next: %s\n", lines(err.Error()), do)
}

// printError prints what failed, why it matters, and what to type next.
func (a *app) printError(err error, asJSON bool) {
	why, do := holdfast.Advice(err)
	class := holdfast.ClassOf(err)
	if asJSON || a.output == "json" {
		_ = a.json(a.whole.err, struct {
			Schema int            `json:"schema"`
			Kind   string         `json:"kind"`
			Class  holdfast.Class `json:"class"`
			Exit   int            `json:"exit"`
			What   string         `json:"what"`
			Why    string         `json:"why,omitempty"`
			Do     string         `json:"do,omitempty"`
		}{outputSchema, "error", class, exitCode(class), err.Error(), why, do})
		return
	}
	_, _ = fmt.Fprintf(a.err, "holdfast: %s\n", lines(err.Error()))
	if why != "" {
		_, _ = fmt.Fprintf(a.err, "  %s\n", why)
	}
	if do != "" {
		_, _ = fmt.Fprintf(a.err, "  next: %s\n", do)
	}
}

// lines indents the lines of an error that has several, and says each once: a
// driver that tried one address in two ways says the same twice.
func lines(text string) string {
	var out []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "\n  ")
}

// span prints a duration for people.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d.Round(time.Second) < time.Hour:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%dd%dh", int(d.Hours())/24, int(d.Hours())%24)
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
