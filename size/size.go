// Package size prints numbers of bytes for people: 512 B, 1.5 GiB.
package size

import "fmt"

// Of is a number of bytes in the largest unit that keeps it above one.
func Of(bytes int64) string {
	const unit = 1024
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, exp := float64(bytes)/unit, 0
	for value >= unit && exp < 4 {
		value /= unit
		exp++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTP"[exp])
}
