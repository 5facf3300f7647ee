// Package firstrun sets Holdfast up for a node: it finds out what it can, asks
// for the rest, tries every connection, and creates the repository and the
// configuration. Nothing is created before everything has been tried.
package firstrun
