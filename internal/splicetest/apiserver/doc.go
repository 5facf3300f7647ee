// Package apiserver starts the API server of Kubernetes with etcd, for tests: its
// objects, its rights and its forwarding of connections are real. What it has no
// part for is a node: Kubelet takes the place of one, so that a pod that runs
// nowhere leads to ports of this machine.
//
// HOLDFAST_TEST_KUBE has the programs: internal/testbed/kube.sh builds them, which
// takes a quarter of an hour. Without them a test is skipped.
package apiserver
