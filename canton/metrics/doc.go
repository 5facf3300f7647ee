// Package metrics reads the few series of a node's Prometheus endpoints (port
// 10013 of every Splice and Canton program) that tell how far the node has
// come. The names are those of Splice 0.5 and later; releases 0.3 and 0.4 had
// other prefixes, and of these nothing is read.
package metrics
