// Package schema has the descriptions of what Holdfast writes and prints.
package schema

import "embed"

// Files are the descriptions, by their names here.
//
//go:embed *.json
var Files embed.FS
