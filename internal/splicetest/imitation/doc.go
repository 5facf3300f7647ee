// Package imitation plays the programs of a validator node, each in a process
// of its own, as they would be met in containers: a participant and a validator
// app that open the databases their environment names, a proxy before them and
// the small tools of the images around them.
//
// What is real: the databases and what is written to them, the locks, the gRPC
// methods by their names and field numbers, the HTTP endpoints, tokens and
// status codes. What is imitated: everything behind. The participant keeps no
// contracts but those of package splicetest, signs nothing and knows no
// synchronizer. The dangers are there on purpose: a participant without an
// identity is healthy, and a validator app that meets one waits a little and
// then makes a new identity without asking.
//
// In addition to the environment of the real programs they know
//
//   - IMITATION_GRACE: how long the validator app waits before it makes an
//     identity; 5s without it, as the real one;
//   - IMITATION_STUBBORN: names of programs that ignore the request to stop;
//   - IMITATION_CLAIM: who the participant says it is on its admin API, as one
//     would that has opened another database;
//   - IMITATION_MUTE: the participant's admin API does not answer;
//   - IMITATION_RATE: ledger updates a second from the start; 0 without it.
//     POST /load?rate=20 on the participant's metrics port changes it.
package imitation
