// Package sandbox starts temporary Postgres servers for drills. They run the
// server programs of this machine or a container, are tuned for speed and not
// for durability, listen on a Unix socket that only their user can open, and run
// in a network namespace of their own where the system allows one. Before the
// server starts, its process tests from within that no network is reachable
// (Inside).
//
// Every server has one labelled directory. If a drill is killed, the kernel stops
// its server and the directory stays. Clean removes such leftovers, and never
// what belongs to a running drill.
package sandbox
