package main

import "github.com/spf13/cobra"

func newExport(a *app) *cobra.Command {
	return &cobra.Command{Use: "export SET DIR", RunE: help}
}
