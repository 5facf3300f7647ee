// Splice is every program of an imitated validator node: the image of each has
// its name as the first argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"holdfast/internal/splicetest/imitation"
)

func main() {
	args := os.Args[1:]
	if name := filepath.Base(os.Args[0]); name != "splice" { // a link to it, as busybox has them
		args = append([]string{name}, args...)
	}
	if err := imitation.Main(args, os.Environ(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "ERROR:", err)
		os.Exit(1)
	}
}
