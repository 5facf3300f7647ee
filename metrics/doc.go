// Package metrics turns what is known of nodes into metrics for Prometheus.
//
// Everything is computed when it is scraped, from what the repository said and
// from what was judged: a service that was started again shows the same.
// Nothing is counted here. Labels are names of nodes, components, tasks,
// conditions and configured places: their number is bounded, and none is secret.
package metrics
