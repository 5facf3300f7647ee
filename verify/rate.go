package verify

import (
	"errors"
	"strconv"
	"strings"
)

// ParseRate reads "20MB/s", "512KiB/s" or "20M" as bytes a second.
func ParseRate(text string) (int64, error) {
	number := strings.TrimRight(strings.TrimSuffix(text, "/s"), "KMGTiBkb ")
	unit := strings.TrimSpace(strings.TrimSuffix(text, "/s")[len(number):])
	factor := map[string]float64{
		"": 1, "B": 1, "K": 1e3, "KB": 1e3, "kB": 1e3, "k": 1e3, "KiB": 1 << 10,
		"M": 1e6, "MB": 1e6, "MiB": 1 << 20, "G": 1e9, "GB": 1e9, "GiB": 1 << 30,
	}[unit]
	n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || n <= 0 || factor == 0 {
		return 0, errors.New("--rate: want bytes a second, such as 20MB/s")
	}
	return int64(n * factor), nil
}
