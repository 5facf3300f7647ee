// Package config reads holdfast.yaml: once, strictly, into plain values. An
// unknown key is an error that names the line; every other message names the
// key. Nothing in the file is a secret: passwords and tokens are references
// ("file:/etc/holdfast/password", "env:NAME", "exec:command"), read when they
// are needed.
//
// An environment variable HOLDFAST_<KEY> (dots and dashes become underscores,
// as in HOLDFAST_REPOSITORY_PATH) takes precedence over the file. It holds the
// value itself, not YAML; commas separate the elements of a list. A variable
// that names no setting is an error. Origin says where each value came from.
package config
