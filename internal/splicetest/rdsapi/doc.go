// Package rdsapi stands for Amazon RDS in one account and region. It speaks RDS's
// wire format, the Query protocol with XML answers, to the official client, over
// real Postgres servers: a snapshot is a copy of the data directory as a crash
// would leave it, at a random moment between the request and the answer that it is
// available; a restore is a second server on that copy; a new instance is an empty
// server, whose user is no superuser.
//
// It was made from RDS's documentation and from its client's source. It was never
// compared with RDS itself: what it does not know, no test finds. It looks at who
// signed a request, does not verify the signature, and knows policies as lists of
// allowed actions. SnapshotDatabaseTime is the moment of the copy, which under
// load is that of the newest transaction to within milliseconds.
//
// Lies make it answer what a provider must not answer.
package rdsapi
