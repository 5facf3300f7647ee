// Package rds speaks with Amazon RDS about snapshots: of an RDS instance, of an
// Aurora cluster and of a Multi-AZ cluster, by the official client. Package
// snapshot says what is done with them.
//
// Nothing here was run against RDS itself. The tests run against a stand-in that
// speaks its wire format (internal/splicetest/rdsapi).
package rds
