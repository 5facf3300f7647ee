// Package bundle stands up the docker compose deployment of a validator node
// against a Docker daemon of the tests' own.
//
// # The daemon
//
//	eval "$(internal/testbed/docker.sh)"
//
// starts it, once per checkout, and exports
//
//   - HOLDFAST_TEST_DOCKER: its address, for DOCKER_HOST;
//   - HOLDFAST_TEST_DOCKER_CONFIG: a directory for DOCKER_CONFIG with the compose
//     plugin, so that `docker compose` works;
//   - HOLDFAST_TEST_DOCKER_NETNS: the network namespace that is its host.
//
// It is Debian's dockerd (20.10 on Debian 12: API 1.41, so a client has to
// negotiate or accept that version) with the image postgres:15, made of
// Debian's packages with the entrypoint, volume and stop signal of the
// published one. `internal/testbed/docker.sh stop` ends it.
//
// # The network
//
// Bridges, user-defined networks with their name service, container addresses
// and published ports all work as on an operator's machine, because the daemon
// has a network namespace to itself (tried on Linux 6.18 with cgroup v1, with
// nftables' and the older packet filter). Nothing of the machine changes. What
// an operator does "on the host" has to be done inside that namespace: a
// package whose tests connect to containers has
//
//	func TestMain(m *testing.M) { bundle.Main(m) }
//
// which starts the tests again there, with everything that they start: there
// 127.0.0.1:80 is the bundle's nginx and 172.18.0.2 a container. Nothing outside
// the machine is reached from there. The daemon's socket is a file, and works
// from everywhere.
//
// # The bundle
//
//	b := bundle.Up(t, bundle.Options{Migration: "4"})
//
// unpacks a bundle into a temporary directory (b.Dir: compose.yaml, overlays,
// .env, start.sh, stop.sh, the entrypoint of Postgres; VERSION two levels up)
// and runs start.sh until everything is healthy: half a dozen seconds on a
// machine with nothing else to do. The project, services, container names,
// network, volumes, images' names and environment are those of the published
// bundle; the database is real; the programs are those of package imitation,
// whose dangers are real too. With no Project the project has a name of its
// own, so that tests run side by side; with DefaultProject it is
// splice-validator and tests wait for each other. b.Environ() is the operator's
// shell: DOCKER_HOST, DOCKER_CONFIG and the project's name.
//
// Deliberate differences from the published bundle: health is checked every two
// seconds; start.sh does not ask Scan for the names that the web UIs show and
// leaves HOST_BIND_IP to the environment, because two bundles cannot share a
// port; an operator's own overlay, compose-local.yaml, is used if it is there;
// nginx is a program of ours with the same routes.
package bundle
