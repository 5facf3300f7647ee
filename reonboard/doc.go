// Package reonboard is the second way back: when no set can be used, a new
// participant gets the old one's keys under a name that was never used, and the
// parties of the old one are moved to it (Splice: validator_disaster_recovery).
// The package puts the identities in clear where the node's start takes them,
// chooses the name and remembers it, and says what is to be typed. What that is
// depends on how the node runs, and is given to it.
package reonboard
