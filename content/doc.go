// Package content has what captures hold, one type for each method: the rows of
// a database, the files of a server, a reference to a snapshot that something
// else keeps. Only who makes a capture and who puts one back has to know them;
// verifying, listing and dropping sets use holdfast.Content.
package content
