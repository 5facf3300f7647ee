// Package storybook has the pages in every state, with prepared reports: for
// whoever works on a screen, and for the tests in a real browser.
//
//	go run ./web/storybook/serve
package storybook
