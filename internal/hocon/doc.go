// Package hocon reads texts in HOCON, in which Canton's programs are
// configured, as its specification has it
// (https://github.com/lightbend/config/blob/main/HOCON.md).
//
// A text is parsed whole, with the files that it includes as far as the caller
// has them, and refused with the line where it is wrong. Its
// values are resolved when they are looked up, and only as far as the lookup
// needs: a program's configuration refers to files and variables that nobody
// but the program has, and most of that does not matter for one value. What
// cannot be resolved and does matter is refused by its name.
//
// A reserved character outside of quotes, as in `password = p@ss`, is read as it
// stands. The specification forbids it, and so a program that runs has none; but
// a text of which nothing else is wrong shall not keep a node from being found.
//
// No error contains a value: values are passwords.
package hocon
