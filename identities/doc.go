// Package identities fetches a node's identities dump from its validator app,
// checks offline whether recovery could start from it, and stores it sealed.
//
// The dump is the second recovery route: when no set is usable, a new participant
// with these keys recovers the parties of the lost one. It contains private keys
// in clear text, so it exists only in memory until Seal has written it, and no
// report, error or fact made here contains bytes of a key.
//
// The pieces, in the order a backup uses them:
//
//	raw, err := fetcher.Fetch(ctx)      // GET …/admin/participant/identities
//	dump, err := identities.Parse(raw)  // lenient: old releases, KMS, SV dumps
//	report := dump.Check(&participant)  // eight findings, three verdicts
//	facts := dump.Facts(report)         // what the manifest records
//	err = identities.Seal(w, raw, recipients)
//	kept, err := keeper.Keep(ctx, name, sealed) // in each place
//
// Compare facts.Content with the last set's to see whether anything changed:
// equal content needs no new version.
//
// Not provable here: that a KMS still holds the keys that a dump only names, that
// re-onboarding would be accepted, and the party hint, which no dump has.
//
// Sources: Splice's common-internal.yaml (NodeIdentitiesDump) and
// NodeInitializer; Canton's crypto/v30 and protocol/v30 protobuf files.
package identities
