package config

import "regexp"

var (
	urlPassword     = regexp.MustCompile(`(://[^:/@]*):[^@]*@`)
	keywordPassword = regexp.MustCompile(`(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)`)
	queryPassword   = regexp.MustCompile(`([?&]password=)[^&]*`)
)

// withoutPassword blanks the password in a connection string of either form.
func withoutPassword(s string) string {
	s = urlPassword.ReplaceAllString(s, "$1:[secret]@")
	s = queryPassword.ReplaceAllString(s, "$1[secret]")
	return keywordPassword.ReplaceAllString(s, "$1[secret]")
}
