// Package contract holds what the tests of this project imitate to what the
// vendor of Canton and Splice publishes: the protobufs and clients of the
// participant's APIs and the types of the HTTP APIs, as npm packages. Without
// it, an imitation and the program that is tested against it could be wrong
// together.
//
// The packages and their versions are in package.json and its lock file; they
// are used in tests alone. HOLDFAST_TEST_CONTRACTS names a directory with them;
// internal/testbed/postgres.sh makes it. Scripts of Node.js (the files *.mjs)
// encode, decode, ask and judge with them. docs/contracts.md says which
// endpoint and which message is held by what, and is itself held to be true.
package contract
