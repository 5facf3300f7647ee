// Package sample makes two databases that look like those of a node, with a few
// tables of a participant and of a validator app, and writes to them as a node does:
// first the participant commits an update, then the validator app ingests it. Every
// row follows from its offset, so that what a copy has to hold is known without the
// original. No program of a node runs on them.
package sample
