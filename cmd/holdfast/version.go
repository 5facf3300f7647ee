package main

import (
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"holdfast"
)

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  holdfast version
  holdfast version --output json`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Manifest int    `json:"manifest_schema"`
				Output   int    `json:"output_schema"`
				Go       string `json:"go"`
			}{version, holdfast.ManifestSchema, outputSchema, runtime.Version()}
			return a.result("version", v, func() {
				a.printf("holdfast %s (manifest %d, output %d, %s)\n", v.Version, v.Manifest, v.Output, v.Go)
			})
		},
	}
}

// newMan writes the man pages; the build calls it.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man DIR", Short: "Write the man pages", Hidden: true, Args: exactly(1, "a directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return doc.GenManTree(cmd.Root(), &doc.GenManHeader{Title: "HOLDFAST", Section: "1", Source: "Holdfast " + version, Manual: "Holdfast"}, args[0])
		},
	}
}
