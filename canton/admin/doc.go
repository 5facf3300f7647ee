// Package admin reads the identity and state of a Canton participant through its
// admin API (gRPC, port 5002, no authentication). It knows only methods that
// read, so none that changes anything can be called by mistake.
//
// The API is neither reflected by every release nor published as a Go module,
// so the few messages are written here by hand, each field with its number.
// Fields that are not listed are skipped when reading, as protobuf requires.
// The numbers are those of Canton 3.4 and 3.5, which agree in all of them
// (community/admin-api/src/main/protobuf).
package admin
