// Package notice decides what is worth a notice, when, and to whom.
//
// What is wrong with a node is a list of sights, looked at every minute. A trouble
// is announced when it has lasted, once for its root cause; again when it changes,
// and while it lasts; and when it is over. What comes and goes within the patience
// is never mentioned.
//
// Each target has a memory of its own of what it was sent. What could not be
// delivered was not sent: it is decided again, as things are then. The other
// targets hear of a target that cannot be reached.
package notice
