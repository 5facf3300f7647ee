package setup

import (
	"os"
	"syscall"
)

// sameOwner gives a file the owner of another one, which a rename puts it in the
// place of.
func sameOwner(file *os.File, of os.FileInfo) error {
	stat, ok := of.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return file.Chown(int(stat.Uid), int(stat.Gid))
}
