// Package endtoend holds tests that put the real parts together as the program
// does: real Postgres servers with a node's databases under load, a real
// repository in a temporary directory, and the imitated validator app.
//
//	order_test.go    sets taken under load are proven; reversed ones are found, every one
//	backup_test.go   what a run does when something around it is wrong
//	restore_test.go  the way back: plan, swap, undo, clean, and what it refuses
//	sweep_test.go    the same runs with every call to storage and database failing, then killing
package endtoend
