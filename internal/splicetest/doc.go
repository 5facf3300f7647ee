// Package splicetest stands up a validator node to test and demonstrate
// against: temporary Postgres servers in every version at hand, databases in
// the shape that a Canton participant and a Splice validator app give theirs, a
// ledger that goes on being written, an imitation of the validator app's HTTP
// face and a real OAuth2 server.
//
// The databases and the programs that answer queries are real. The validator
// app is imitated, from what its sources say it answers; package contract
// holds it to what the vendor publishes. Nothing here is the real software, and
// nothing here may be imported by what ships.
//
// Every function works without the testing package and returns its error;
// those whose name begins with New take a testing.TB, end the test on an error
// and clean up with it.
//
// # What it needs
//
//   - HOLDFAST_TEST_PG: Postgres installations, as "14=/dir/bin:16=/dir/bin";
//     those below /usr/lib/postgresql are found without it. A directory needs
//     initdb and postgres, nothing more.
//   - HOLDFAST_TEST_USER: the user that runs Postgres when the tests are run
//     by root, whom Postgres refuses; otherwise postgres, or else nobody.
//   - HOLDFAST_TEST_MASTERS: a directory for data directories that servers and
//     nodes are copied from; without it each is made from nothing.
//   - HOLDFAST_TEST_OIDC_PROVIDER: a directory with node_modules/oidc-provider;
//     tests that need it are skipped without it, and fail with
//     HOLDFAST_TEST_ALL set.
//   - HOLDFAST_TEST_LONG: set, suites run in their long form, every combination
//     of what they vary. Without it, and in CI, they run a choice.
package splicetest
