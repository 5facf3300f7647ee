// Package notify delivers notices: to chats, mail, incident managers, phones and
// webhooks, by the addresses of shoutrrr; and it pings an address that notices
// silence, as healthchecks.io and its kind do.
//
// An address is a secret: whoever has it can write there. So are its parts, and
// an error repeats none of them.
package notify
