// Package content has what captures hold, one type for each method: the rows of
// a database, the files of a server, a reference to a snapshot that something
// else keeps. Only who makes a capture and who puts one back has to know them;
// whoever verifies, lists, or drops sets asks holdfast.Content.
package content
