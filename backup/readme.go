package backup

import (
	_ "embed"
	"io"
	"text/template"

	"holdfast"
)

//go:embed readme.md
var readmeText string

var readme = template.Must(template.New("readme").Parse(readmeText))

// writeReadme writes how to restore this very set without Holdfast.
func writeReadme(w io.Writer, set holdfast.Set) error { return readme.Execute(w, set) }
