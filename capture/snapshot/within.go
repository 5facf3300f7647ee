package snapshot

import (
	"fmt"

	"holdfast"
)

// Within says whether what a snapshot was found to have, by whoever restored it,
// lies between the readings that were made around it. An error says what does not.
func Within(c holdfast.Captured, found holdfast.Facts) error {
	if c.Before == nil {
		return fmt.Errorf("%s has no reading from before its snapshot", c.Component)
	}
	earliest, latest := c.Before.Facts, c.Facts
	for _, f := range []holdfast.Facts{earliest, latest, found} {
		if f.Unknown != "" {
			return fmt.Errorf("%s: the schema is not one that is known: %s", c.Component, f.Unknown)
		}
	}
	if why := holdfast.Outside(earliest, found, latest); why != "" {
		return fmt.Errorf("%s: %s", c.Component, why)
	}
	return nil
}
