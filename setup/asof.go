package setup

import (
	"errors"
	"fmt"
	"time"

	"holdfast/config"
)

// AsOf reads the time as of which the repository is seen; zero without one.
func AsOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		age, notAge := config.ParseAge(text)
		if notAge != nil || age == config.Forever {
			return time.Time{}, errors.New("--as-of: want a time such as 2027-01-31T12:00:00Z, or how long ago, such as 36h")
		}
		at = now.Add(-time.Duration(age))
	}
	if at.After(now) {
		return time.Time{}, fmt.Errorf("--as-of: %s is not over yet", text)
	}
	return at, nil
}
