// Package identitiestest makes identities dumps of nodes that never existed:
// the JSON a validator app answers, whole or with one planted fault, and the
// rows its participant's database would hold with it. Everything follows
// from the seed, so the same call gives the same bytes.
package identitiestest
