package systemd

import (
	_ "embed"
	"strings"
	"text/template"
)

// Unit is a service that systemd keeps running.
type Unit struct {
	Program   string   // its absolute path
	Arguments []string // of `holdfast run`
	User      string
	Groups    []string // in addition, such as docker
	Directory string   // of the configuration
	// Writable are the directories that it writes to, in addition to its state.
	Writable []string
}

//go:embed holdfast.service.tmpl
var text string

// String is the text of the unit's file.
func (u Unit) String() string {
	var b strings.Builder
	t := template.Must(template.New("unit").Funcs(template.FuncMap{"word": word}).Parse(text))
	if err := t.Execute(&b, u); err != nil { // a text of ours, with values of ours
		return err.Error()
	}
	return b.String()
}

// word writes a value as one word of a unit: % and $ mean something there, and
// spaces end it.
func word(s string) string {
	s = strings.NewReplacer("%", "%%", "$", "$$", `\`, `\\`, `"`, `\"`).Replace(s)
	if strings.ContainsAny(s, " \t'\"\\;") {
		return `"` + s + `"`
	}
	return s
}
