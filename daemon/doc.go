// Package daemon does what is due, for as long as it runs: it waits for what
// schedule decides, has it done, and begins again. What was done before it was
// started it asks for, so that it can be ended at any time and begin anywhere.
//
//	d := daemon.Daemon{Nodes: nodes, Clock: daemon.SystemClock{}, Events: events}
//	err := d.Run(ctx) // until ctx ends
//
// Each node has one thing done at a time, and none waits for another's.
package daemon
