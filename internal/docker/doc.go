// Package docker is the Docker Engine as far as more than one adapter needs
// it: to find the daemon as the docker command does, to run programs and reach
// ports in containers, and to have images there. It goes through the official
// client (docs/decisions/010); what a container is for, its callers know.
package docker
