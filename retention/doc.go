// Package retention decides which sets of a node are kept, and why.
//
// Decide is pure: from a policy, the sets, the pins and the time it decides,
// for every set, to keep or drop it, with all reasons. Apply executes the
// decision: it drops sets and maintains the repository.
//
// # The rules
//
// A set counts when it is proven and no drill has failed to restore it. Of
// those, the policy keeps a number of the newest of every hour, day, ISO week,
// month and year; a number of the last; and all within a time of the newest.
// Periods are those of UTC. Of two sets of the same instant the one with the
// higher ID is the newer.
//
// Ages are measured from the newest such set, not from the clock. So nothing
// expires when backups stop or a clock jumps.
//
// Always kept are: the newest proven set; the newest that a drill restored;
// pinned sets; the last set before, and the first after, every change of the
// synchronizer's serial, the migration id, a database's schema version (which
// is what a Splice upgrade leaves in it) or a Postgres version, because a
// restore needs the software and the synchronizer of its set. If history is
// wanted, more sets are kept, so that two kept sets are never further apart
// than the participant's pruning window: data that the participant pruned
// between two sets is in neither (Splice documentation, validator_backups and
// sv_backup: historical backups).
//
// Sets that do not count (unproven, misordered, mismatched, or failed in a
// drill) replace no other set and expire after a time of their own. Sets dated
// in the future, after a clock jump, and sets with an unreadable manifest are
// kept and reported: what cannot be judged is not dropped. So are sets out of order,
// which were stored before their own date, or after a set of a later date: somebody
// may have forged them to push others out. They stay out of every count when their
// date has come.
//
// # What is promised
//
// Deciding again on the kept sets drops nothing more. No later decision of the
// same policy wants a dropped set. The order of the input does not matter.
// Without a policy nothing is dropped.
package retention
