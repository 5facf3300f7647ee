// Package sandbox starts temporary Postgres servers for drills. They run the
// server programs of this machine or a container, are tuned for speed and not
// for durability, and listen on a Unix socket that only their user can open.
//
// What is restored is a program: SQL of somebody else runs there as a superuser.
// A server of this machine therefore has a network, a file system, processes and
// shared memory of its own, and for root an account, where the system allows
// that. Before it starts, its process tests from within that no network and no
// socket is reachable (Inside).
//
// Every server has one labelled directory. If a drill is killed, the kernel stops
// its server and the directory stays. Clean removes such leftovers, and never
// what belongs to a running drill or to another user.
package sandbox
