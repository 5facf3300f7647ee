// Package metrics reads the few series of a node's Prometheus endpoints (port
// 10013 of every Splice and Canton program) that show the node's progress. The
// names are those of Splice 0.5 and later; the other prefixes of 0.3 and 0.4 are
// not read.
package metrics
