// Package memory says how much memory is free: on the machine, and for this
// process, which control groups may give less. It also gives back what the program's
// own file takes.
package memory
