// Package retention decides which sets of a node are kept, and why.
//
// Decide is pure: a policy, the sets, the pins and the time give, for every set,
// keep or drop with all the reasons. Apply does what it says: it drops, and has
// the repository's maintenance run.
//
// # The rules
//
// A set counts when it is proven and no drill has failed to restore it. Among
// those, the newest of every hour, day, ISO week, month and year is kept, as many
// as the policy says; and the last so many; and all within a time of the newest.
// Periods are those of UTC. Of two sets of the same instant the one with the
// higher ID is the newer.
//
// Ages are measured from the newest such set, not from the clock. Where backups
// have stopped, or a clock has jumped ahead, nothing melts away.
//
// Beside these, always: the newest proven set; the newest that a drill has
// restored; pinned sets; the last set before, and the first after, every change of
// the synchronizer's serial, the migration id, a database's schema version (which
// is what a Splice upgrade leaves in it) or a Postgres version, because a restore
// has to meet the software and the synchronizer of its set. Where history is wanted, as many more that two kept sets are never further
// apart than the participant's pruning window: what the participant has pruned
// between two sets is in neither (Splice documentation, validator_backups and
// sv_backup: historical backups).
//
// Sets that do not count (unproven, misordered, mismatched, or failed in a drill)
// take nobody's place and expire on a time of their own. Sets from the future,
// after a clock jump, and sets whose manifest cannot be read are left alone and
// reported: what cannot be judged is not dropped.
//
// # What is promised
//
// Deciding again over what was kept drops nothing more. What was dropped is
// wanted by no later decision of the same policy. The order of the input does not
// matter. Without a policy nothing is dropped.
package retention
