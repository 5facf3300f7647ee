// Package web is the page of a daemon: what the commands report, for a browser.
//
// Its screens are rendered on the server, from the very reports that the commands
// print as JSON. It judges nothing and computes nothing of its own: what a
// screen lacks is added to the report's home. Reports are made elsewhere and
// kept, so that a page is as quick with thousands of sets as with one.
//
//	site := web.Site{Nodes: nodes, Access: access, Now: time.Now, Version: version}
//	handler, err := site.Handler()
//
// What is safe from a page can be started there by an operator who has logged
// in: a backup, a verification, a drill, a pin, a test of the notices. A restore
// never: the page shows its command. Package storybook has every screen with
// prepared reports.
package web
