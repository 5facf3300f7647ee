// Package compose_test takes a bundle-shaped node of Docker Compose from its
// start to its first proven set, wrecks it in every way that operators have
// met, and brings it back with the holdfast command, as an operator would. It
// needs the Docker test bed: eval "$(internal/testbed/docker.sh)".
package compose_test
