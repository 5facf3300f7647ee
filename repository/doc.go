// Package repository is where sets rest: a thin layer over a kopia repository.
// It is the only package that imports kopia, and everything it writes is an
// ordinary kopia snapshot, which the kopia command lists, mounts and restores.
//
// # What a set looks like in it
//
// One snapshot per set, source "<node>@holdfast:/<node>", tags node, set and
// state. The tree below its root is the set's files; set.json is the manifest.
//
// # What makes a set visible
//
// Write gives its function a Session. Files put through it are stored,
// encrypted and deduplicated, at once; nothing points to them until the
// function has sealed a set and returned nil, and the session has been flushed.
// Whatever dies before that leaves no set, only stored bytes that the next run
// finds again. So that a long run which dies late is cheap to repeat, the
// session also flushes its index now and then; that publishes nothing.
//
// # What is not promised
//
// Bytes of runs that never sealed a set stay in the repository until
// maintenance removes them. A file system that acknowledges a sync it did not
// do can lose the newest set; it cannot make half a set look whole, because
// the snapshot is written after everything it points to.
package repository
