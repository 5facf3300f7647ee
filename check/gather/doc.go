// Package gather looks everywhere that the conditions of package check need,
// side by side where it can, and notes what is there or why that is unknown.
// How each thing is reached is given to it.
package gather
