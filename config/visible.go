package config

import "regexp"

// A password ends where the last @ of the value is, because one that was not
// percent-encoded may hold an @ itself: too much is hidden rather than too
// little.
var (
	urlPassword     = regexp.MustCompile(`(?s)(://[^:/@]*):.*@`)
	queryPassword   = regexp.MustCompile(`(?is)(://.*[?&][^=&]*password=).*`)
	keywordPassword = regexp.MustCompile(`(?is)(password\s*=\s*)('(?:[^'\\]|\\.)*(?:'|$)|(?:[^'\s\\]|\\.)(?:[^\s\\]|\\.)*)`)
)

// withoutPassword makes a value fit to be shown: connection strings of either
// form and URLs may carry a password although they should not.
func withoutPassword(s string) string {
	s = urlPassword.ReplaceAllString(s, "$1:[secret]@")
	s = queryPassword.ReplaceAllString(s, "$1[secret]")
	return keywordPassword.ReplaceAllString(s, "$1[secret]")
}
