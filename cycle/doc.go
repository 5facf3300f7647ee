// Package cycle goes once through all that is done with a provider's snapshots, with
// an instance that is made for it: make, fill, take a set, lift it, compare the rows,
// look at what the provider said, delete. It shows whether the provider does what its
// documentation says, and what a cycle takes and costs in this account.
//
// Everything is removed again, whatever happened.
package cycle
