package repository

import (
	"sync"
	_ "unsafe" // for go:linkname
)

// kopia keeps the buffers that it has used for good: for each processor one of 8 MiB
// and one of 16, however little they held, and 128 MiB of small ones. They make the
// next pieces quicker, and a service waits for hours between two tasks. kopia has no
// way to give them back, so its lists are emptied from here. They are internal:
// TestFreeBuffers notices when another version of kopia has them otherwise.

// buffers is the beginning of a list of kopia's (kopia v0.23.1, internal/gather,
// chunkAllocator).
type buffers struct {
	name string
	size int
	mu   sync.Mutex
	free [][]byte
}

//go:linkname smallBuffers github.com/kopia/kopia/internal/gather.defaultAllocator
var smallBuffers *buffers

//go:linkname mediumBuffers github.com/kopia/kopia/internal/gather.typicalContiguousAllocator
var mediumBuffers *buffers

//go:linkname largeBuffers github.com/kopia/kopia/internal/gather.maxContiguousAllocator
var largeBuffers *buffers

func kopiasBuffers() []*buffers { return []*buffers{smallBuffers, mediumBuffers, largeBuffers} }

// FreeBuffers leaves to the garbage collector what no open repository uses at the
// moment. It may be called at any time, and is for a process that is idle next.
func FreeBuffers() {
	for _, b := range kopiasBuffers() {
		b.mu.Lock()
		b.free = nil
		b.mu.Unlock()
	}
}
