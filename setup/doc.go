// Package setup turns a configuration into the parts that jobs need: the node
// and its databases, the repository, the way to the validator app, places to
// restore to and to drill in. It is where adapters and jobs meet; a program is
// left with flags, one call and printing.
package setup
