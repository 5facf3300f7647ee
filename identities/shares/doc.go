// Package shares splits a secret among people, so that some of them together
// have it and fewer of them have nothing of it.
//
// It is Shamir's scheme with Feldman's commitments, both CIRCL's: nothing is
// calculated here. Each share carries the commitments of all, so that a share
// that was damaged or forged is named, and shares of different secrets are not
// mixed.
//
// Not guaranteed: that who made the shares has forgotten the secret.
package shares
