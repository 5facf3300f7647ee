// Package scan asks the Scans of several super validators, side by side, what
// the network is: which synchronizer is in use, whose sequencers are published,
// whether an upgrade is announced, and what time it is.
//
// Each answer is kept apart with the Scan that gave it. Whether they agree is
// for others to judge: a Scan belongs to one super validator, and none is to be
// trusted alone. Scans limit how often an address may ask (Splice 0.7.4), so
// each is asked few questions, one after the other, once.
//
// Source: Splice, apps/scan/src/main/openapi/scan.yaml.
package scan
