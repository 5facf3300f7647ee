// Package watchdog gives up on peers that have fallen silent: a connection that
// stays open and carries nothing, a program that was stopped.
//
// Silence alone proves nothing. A server may build an index for hours without
// sending a byte. So a watchdog asks at half of its limit, and once more at the
// limit, whether the peer is at work, over another connection; without a good
// answer both times it gives up.
package watchdog
