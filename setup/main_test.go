package setup_test

import (
	"fmt"
	"os"
	"testing"

	"holdfast/sandbox"
)

// TestMain lets this program be the one that a sandbox starts inside: without it
// the tests would be run in there, and the sandbox be waited for in vain.
func TestMain(m *testing.M) {
	if sandbox.IsInside() {
		_, _ = fmt.Fprintln(os.Stderr, sandbox.Inside(os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}
