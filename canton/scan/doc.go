// Package scan queries the Scans of several super validators in parallel: which
// synchronizer is in use, which sequencers are published, whether an upgrade is
// announced, and what time it is.
//
// Each answer stays with the Scan that gave it. The caller judges whether they
// agree: a Scan belongs to one super validator, and none is trusted alone. Scans
// limit the request rate of an address (Splice 0.7.4), so each gets a few
// requests, one after the other, once.
//
// Source: Splice, apps/scan/src/main/openapi/scan.yaml.
package scan
