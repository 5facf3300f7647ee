// Package compose is a validator node that runs from Splice's Docker Compose
// bundle. It finds the node through the Docker Engine, reads what its
// containers were really started with, reaches its databases and its validator
// app, and stops and starts it around a restore.
//
// What runs is read from the containers, never from the bundle's .env: start.sh
// exports half of the settings only while it runs (Splice:
// cluster/compose/validator/start.sh).
//
// # Reaching Postgres
//
// The bundle publishes no port of Postgres. A program on the host dials the
// container's address on its bridge, one in a container of the same network
// the service's name. Where neither answers, the bytes go through `docker
// exec`, by way of bash or nc inside the Postgres container. A way that the
// configuration chooses is the only one.
//
// # Steps of a restore
//
// A validator app that meets a participant without an identity gives it a new
// one after about five seconds (Splice: ParticipantInitializer). So during a
// restore the containers stay down even if the Docker daemon restarts, because
// their restart policy is disabled, and the validator app is started only after
// the participant's database has shown the identity that was expected.
//
// Survey says which steps a restore has, before the databases are built and
// after they are in place; Do does one of them; Surround adds to a way back what
// is in its way. Every step can be done again. Only the exchange of a volume has
// stages of its own, which its notes remember.
//
// A container that lives in namespaces of another one, a follower, ends with it
// and looks for that very one when it starts. So it is stopped before what it
// lives in, started after it, and made again where that is.
//
// # Made again
//
// Record keeps the daemon's descriptions of all that the node is made of, the
// files that were put into containers, and the owners of directories. A recipe
// is what a container is made of again; compare says where it differs from its
// record. Rehearse does all of that next to the running node, without data.
// live.go knows which directories a Postgres server keeps data in: none of them
// is kept as files, and none is written into.
package compose
