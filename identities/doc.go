// Package identities takes a node's identities dump out of its validator app,
// finds out offline whether recovery could start from it, and keeps it sealed.
//
// The dump is the second way back: when no set is usable, a new participant
// with these keys brings back the parties of the lost one. It holds private
// keys in clear, so it exists in memory alone until Seal has written it, and
// no report, error or fact made here contains bytes of a key.
//
// The pieces, in the order a backup uses them:
//
//	raw, err := fetcher.Fetch(ctx)      // GET …/admin/participant/identities
//	dump, err := identities.Parse(raw)  // lenient: old releases, KMS, SV dumps
//	report := dump.Check(&participant)  // eight findings, three verdicts
//	facts := dump.Facts(report)         // what the manifest says of it
//	err = identities.Seal(w, raw, recipients)
//	kept, err := directory.Keep(name, sealed)
//
// Whether anything changed since the last set is facts.Content against the
// last set's: equal content needs no new version.
//
// Not provable here: that a KMS still holds the keys a dump only names, that
// re-onboarding would be accepted, and the party hint, which no dump has.
//
// Sources: Splice's common-internal.yaml (NodeIdentitiesDump) and
// NodeInitializer; Canton's crypto/v30 and protocol/v30 protobuf files.
package identities
