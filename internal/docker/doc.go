// Package docker is the part of the Docker Engine that several adapters need: it
// finds the daemon as the docker command does, runs programs and reaches ports in
// containers, and pulls images. It uses the official client (docs/decisions/010).
package docker
