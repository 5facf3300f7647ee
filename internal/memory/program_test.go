package memory

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// What was written to is in no file, and would be lost.
func TestWhatWasWrittenToStays(t *testing.T) {
	t.Parallel()
	const text = `00400000-02168000 r-xp 00001000 fe:00 1 /usr/local/bin/holdfast
Rss:               20000 kB
Private_Dirty:         0 kB
Anonymous:             0 kB
02168000-03f00000 r--p 01d69000 fe:00 1 /usr/local/bin/holdfast
Anonymous:             4 kB
03f00000-03f01000 r--p 01d70000 fe:00 1 /usr/local/bin/holdfast
Anonymous:             0 kB
03f69000-0400d000 rw-p 03b69000 fe:00 1 /usr/local/bin/holdfast
Anonymous:             0 kB
7f0000000000-7f0000010000 r-xp 00000000 fe:00 2 /usr/lib/libc.so.6
Anonymous:             0 kB
7f0000010000-7f0000020000 r--p 00000000 00:00 0
Anonymous:             0 kB
`
	got := unwritten(bufio.NewScanner(strings.NewReader(text)), "/usr/local/bin/holdfast")
	if want := []mapping{{0x400000, 0x2168000}, {0x3f00000, 0x3f01000}}; !slices.Equal(got, want) {
		t.Errorf("%x, want %x", got, want)
	}
}

// A program goes on without the pages that it gave back, and has fewer.
func TestAProgramWithoutItsPages(t *testing.T) {
	before := ofProgram(t)
	ReleaseProgram()
	if after := ofProgram(t); after >= before {
		t.Errorf("%d kB of the program were in memory, and %d kB are", before, after)
	}
}

// ofProgram is how much of the program's file is in memory, in kB.
func ofProgram(t *testing.T) (sum int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "-") && strings.Contains(line, " ") && !strings.Contains(line, ":  ") {
			inside = strings.HasSuffix(line, own+"\n")
		}
		var kb int
		if n, _ := fmt.Sscanf(line, "Rss: %d kB", &kb); n == 1 && inside {
			sum += kb
		}
	}
	return sum
}
