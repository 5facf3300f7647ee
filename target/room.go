package target

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

// Disk is where a server keeps its data.
type Disk struct {
	Server string // for people
	ID     string // of the file system, which servers may share
	Free   holdfast.Observed[int64]
}

// Room adds to each database what its disk lacks for all that are built there.
// What is built already has its room, and what is unknown lacks nothing.
func Room(list []Database) {
	disks := map[string][]int{}
	for i, d := range list {
		if _, known := d.Disk.Free.Get(); known && !d.Ready {
			disks[d.Disk.ID] = append(disks[d.Disk.ID], i)
		}
	}
	for _, on := range disks {
		var bytes int64
		var names, servers []string
		for _, i := range on {
			bytes += list[i].Fit.DatabaseBytes
			names, servers = append(names, list[i].Database), append(servers, list[i].Disk.Server)
		}
		free, _ := list[on[0]].Disk.Free.Get()
		if free >= bytes {
			continue
		}
		lacks := room(names, slices.Compact(servers), bytes, free)
		for _, i := range on {
			list[i].Fit.Differences = append(slices.Clone(list[i].Fit.Differences), lacks)
		}
	}
}

func room(names, servers []string, bytes, free int64) Difference {
	what, old := "database "+names[0]+" takes", "the old one"
	if len(names) > 1 {
		what, old = "databases "+strings.Join(names, ", ")+" take", "the old ones"
	}
	return Difference{
		Blocks: true,
		What: fmt.Sprintf("%s has %d MiB free, and %s about %d MiB", strings.Join(servers, ", "), free>>20, what,
			bytes>>20),
		Why: "They are built next to " + old + ".",
		Do:  "Make room there, drop what earlier restores left (`holdfast restore clean`), or restore to another server: --to.",
	}
}
