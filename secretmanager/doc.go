// Package secretmanager reads and writes secrets in managers of secrets:
// HashiCorp Vault and OpenBao, AWS Secrets Manager, and others of their kind.
//
// A Manager has named secrets with versions. Two things are built on it, and
// neither knows which vendor it speaks with:
//
//	reader := secretmanager.Reader(open)        // the references of one scheme
//	safe := secretmanager.Safe{Manager: m, Name: name}
//	kept, written, err := safe.Keep(ctx, document)
//
// A Safe holds documents, such as sealed identities, each as one version of a
// secret. It writes nothing when the newest version is the same document, reads
// back what it writes, and deletes nothing: no request made here does.
//
// The requests are our own, four for each vendor. Whoever may make them is found
// out by the vendor's own library, where there is one. Every request has a
// deadline.
package secretmanager
