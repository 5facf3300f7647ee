package config

import (
	"fmt"
	"net"
	"strconv"
)

// HTTP says where `holdfast run` answers requests: health, metrics and the page.
// Nothing listens without it.
type HTTP struct {
	Listen string `yaml:"listen"` // host:port, such as 127.0.0.1:7433
	// AllowRemote lets other machines connect: the address may be one of the
	// network. Metrics and health carry no secret and need no login.
	AllowRemote bool `yaml:"allow_remote"`
}

// Enabled reports whether anything listens.
func (h HTTP) Enabled() bool { return h.Listen != "" }

// check refuses an address that other machines reach, unless they are allowed by
// name.
func (h HTTP) check() error {
	if !h.Enabled() {
		if h.AllowRemote {
			return fmt.Errorf("http.allow_remote: say where to listen: http.listen: 0.0.0.0:7433")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(h.Listen)
	if err != nil {
		return fmt.Errorf("http.listen: want host:port, such as 127.0.0.1:7433")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("http.listen: want a port from 0 to 65535, such as 7433")
	}
	if !h.AllowRemote && !loopback(host) {
		return fmt.Errorf("http.listen: other machines reach %s; listen on 127.0.0.1:%s, "+
			"or add http.allow_remote: true", h.Listen, port)
	}
	return nil
}

// loopback reports whether only this machine reaches a host's address. A name is
// not looked up: it may resolve to something else later.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
