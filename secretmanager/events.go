package secretmanager

import "fmt"

// VersionsNearLimit says that a secret has nearly as many versions as its manager
// keeps: the oldest are dropped, and with them identities from before a rotation.
type VersionsNearLimit struct {
	Where           string
	Versions, Limit int
	Do              string // what raises the limit; "" where nothing does
}

func (e VersionsNearLimit) String() string {
	text := fmt.Sprintf("%s has %d versions, and its manager keeps %d: older identities are dropped",
		e.Where, e.Versions, e.Limit)
	if e.Do != "" {
		text += "; " + e.Do
	}
	return text
}
