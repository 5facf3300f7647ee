// Package systemd is what a service and systemd say to each other: the unit that
// starts it, that it is ready, and that it is alive.
package systemd
