// Package check answers whether a node could be recovered today: it judges a
// catalogue of conditions that recovery depends on, computes how long is left,
// and lists what would be lost.
//
// Everything here is pure. Evaluate takes the observations, each a value or the
// reason why there is none, and the time. It reads nothing, and two calls with
// the same arguments give the same answer.
//
// Three rules hold for every condition. It never holds from an assumed value:
// where an input is missing the verdict is "cannot tell", and the evidence
// names the input. No super validator's Scan is believed alone. And one root
// cause gives one alarm: a condition that does not hold only because another
// one does not is shown with that one's code, and is not an alarm of its own.
//
// The rules come from the Splice documentation on backups, restore, pruning and
// synchronizer upgrades (validator_backups, validator_disaster_recovery,
// sv_pruning, sv_logical_synchronizer_upgrade), from the catalogue of the
// Reentry proposal, and from the sources of Canton and Splice.
package check
