// Package kube is a validator node that runs in Kubernetes: how it is found among
// the objects of a cluster, and how its databases and its validator app are
// reached from outside of the cluster.
//
// # Finding
//
// Find is a pure function over listed objects. A program is recognized by the
// variables that its container is started with, never by a name or a label: those
// are the operator's, and of the chart that was taken. What leads from one
// object to the next is what the programs themselves follow: addresses, the
// Services behind them, and the selectors of these.
//
// What cannot be seen from outside is a Question, and says what to answer it with.
// No Secret is read to find a node but the keys that Wanted names, none of which
// is a password.
//
// # Recording
//
// Node.Record puts into a set what the namespace is made again of. Kept is the
// file, which is encrypted; Description is what the manifest says, without
// secrets. An Owner is who keeps an object as it is, by the marks that it leaves.
//
// # Restoring
//
// Programs scales the participant and the validator app to zero and back, by
// their scale alone. That what is at zero stays there cannot be relied on: the
// databases are closed meanwhile, and Programs waits for those pods that could have
// connected before they were.
//
// # Without a namespace
//
// Where the namespace has nothing of the node, a restore has nobody to stop. Rebuilt
// says from the record what the operator types, and in which order no program makes an
// empty database; Lost is what a survey needs for that.
//
// # From the identities
//
// Bootstrap is the Secret with a node's identities in clear, while it is made again
// from them; Overlays are what the values of its releases have to say then. Holdfast
// changes no release.
//
// # Reaching
//
// From a pod, the name of a Service is an address like any other. From elsewhere
// Cluster.Dial forwards a connection to the pod behind it, as `kubectl
// port-forward` does, but without a port of this machine.
package kube
