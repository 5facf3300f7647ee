package config

import "regexp"

// A password ends at the last @ of the value, because a password without
// percent-encoding may contain an @: better hide too much than too little.
var (
	urlPassword     = regexp.MustCompile(`(?s)(://[^:/@]*):.*@`)
	queryPassword   = regexp.MustCompile(`(?is)(://.*[?&][^=&]*password=).*`)
	keywordPassword = regexp.MustCompile(`(?is)(password\s*=\s*)('(?:[^'\\]|\\.)*(?:'|$)|(?:[^'\s\\]|\\.)(?:[^\s\\]|\\.)*)`)
)

// withoutPassword hides passwords in a value, to print it: connection strings
// of either form and URLs may contain one although they should not.
func withoutPassword(s string) string {
	s = urlPassword.ReplaceAllString(s, "$1:[secret]@")
	s = queryPassword.ReplaceAllString(s, "$1[secret]")
	return keywordPassword.ReplaceAllString(s, "$1[secret]")
}
