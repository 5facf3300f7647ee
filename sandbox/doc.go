// Package sandbox starts Postgres servers that are thrown away after use, for
// rehearsing restores: from the server programs of this machine, tuned for
// speed and not for keeping anything, reachable through a Unix socket that only
// their user can open, and in a network namespace of their own where the system
// allows one. What the namespace really closes is tried from within before the
// server starts (Inside), by the process that then becomes the server.
//
// Every server lives in one labelled directory. A run that was killed leaves
// its directory, and its server is told to stop by the kernel; Clean removes
// what is left, and never what belongs to a run that lives.
package sandbox
