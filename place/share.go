package place

import (
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Sharing is what two places have in common, so that one loss takes both.
type Sharing string

// What two places may share, the closest first. That two places share nothing
// is never known.
const (
	Itself     Sharing = "itself"      // both are the same place
	FileSystem Sharing = "file system" // of this machine
	Disk       Sharing = "disk"        // in two file systems of it
	Machine    Sharing = "machine"     // this one, or a server
	Account    Sharing = "account"     // which can lose, delete or lock both
	Unknown    Sharing = "unknown"     // nothing visible from here
)

// Share returns what two places share, as far as that is visible without
// opening them. A directory that does not exist yet is on the file system where
// it would be made. The disks of a network file system are unknown.
func Share(a, b Place) Sharing { return machine{"/sys"}.share(a, b) }

// machine is this one, with what Linux says about its devices.
type machine struct{ sys string }

func (m machine) share(a, b Place) Sharing {
	x, isLocal := a.Local()
	y, alsoLocal := b.Local()
	switch {
	case a.identity() == b.identity():
		return Itself
	case isLocal && alsoLocal:
		return m.directories(x, y)
	case isLocal:
		return b.here()
	case alsoLocal:
		return a.here()
	case a.Host != "" && a.Host == b.Host:
		return Machine
	case a.oneAccount(b):
		return Account
	}
	return Unknown
}

// oneAccount reports whether two places visibly belong to one account: both
// name it, or both are in one bucket.
func (p Place) oneAccount(other Place) bool {
	return p.Scheme == other.Scheme && p.Host == other.Host && p.Account == other.Account &&
		(p.Account != "" || p.Bucket != "" && p.Bucket == other.Bucket)
}

// identity is the place without its options.
func (p Place) identity() Place {
	p.Options = ""
	return p
}

// directories is what two directories of this machine share.
func (m machine) directories(a, b string) Sharing {
	x, y := existing(a), existing(b)
	if x == nil || y == nil {
		return Unknown
	}
	if os.SameFile(x.info, y.info) && x.missing == y.missing {
		return Itself
	}
	return m.devices(x.device(), y.device())
}

// devices is what two file systems share.
func (m machine) devices(a, b uint64) Sharing {
	on, others := disksOf(m.sys, a), disksOf(m.sys, b)
	switch {
	case a == b:
		return FileSystem
	case slices.ContainsFunc(on, func(disk string) bool { return slices.Contains(others, disk) }):
		return Disk
	case len(on) > 0 && len(others) > 0:
		return Machine
	}
	return Unknown
}

// here reports whether this machine serves a remote place.
func (p Place) here() Sharing {
	name, _ := os.Hostname()
	own := []string{"localhost", "127.0.0.1", "::1", strings.ToLower(name)}
	if kinds[p.Scheme].authority == host && slices.Contains(own, hostname(p.Host)) {
		return Machine
	}
	return Unknown
}

// directory is the nearest existing directory to a path.
type directory struct {
	info    os.FileInfo
	missing string // the part of the path that does not exist
}

// existing returns the directory of a path, or the one in which it would be
// made; nil if none is accessible.
func existing(path string) *directory {
	for at := path; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err == nil {
			missing, _ := filepath.Rel(at, path)
			return &directory{info, missing}
		}
		if !os.IsNotExist(err) || at == filepath.Dir(at) {
			return nil
		}
	}
}

// hostname is a server without its port.
func hostname(server string) string {
	u := url.URL{Host: server}
	return u.Hostname()
}
