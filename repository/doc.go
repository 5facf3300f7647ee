// Package repository stores sets: a thin layer over a kopia repository. It is
// the only package that imports kopia, and everything it writes is an ordinary
// kopia snapshot, which the kopia command lists, mounts and restores.
//
// # What a set looks like in it
//
// One snapshot per set, source "<node>@holdfast:/<node>", tags node, set and
// state. The tree below its root is the set's files; set.json is the manifest.
//
// # What makes a set visible
//
// Write gives its function a Session. Files put through it are encrypted,
// deduplicated and stored at once; nothing refers to them until the function
// has sealed a set and returned nil, and the session has been flushed. A run
// that dies before that leaves no set, only stored bytes that the next run
// reuses. The session also flushes its index at intervals, so that a long run
// which dies late is cheap to repeat; that publishes nothing.
//
// # What is not promised
//
// Bytes of runs that never sealed a set stay in the repository until
// maintenance removes them. A file system that acknowledges a sync it did not
// do can lose the newest set; it cannot make half a set look complete, because
// the snapshot is written after everything it refers to.
package repository
