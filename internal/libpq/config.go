package libpq

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"
)

// connectTime is how long a connection may take to be made, where the
// connection string does not say.
const connectTime = 10 * time.Second

// config is the connection in the terms of the library that makes it.
func (c Conninfo) config() (*pgx.ConnConfig, error) {
	plain := Conninfo{values: map[string]string{}}
	for word, value := range c.values {
		if keywords[word].use == known {
			plain.values[word] = value
		}
	}
	if c.values["host"] == "" && c.values["hostaddr"] != "" {
		plain.values["host"] = c.values["hostaddr"]
	}
	config, err := pgx.ParseConfig(plain.String())
	if err != nil {
		return nil, err
	}
	if !c.password.IsEmpty() {
		config.Password = c.password.Reveal()
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTime
	}
	dialer, err := c.dialer()
	if err != nil {
		return nil, err
	}
	config.DialFunc = dialer.DialContext
	if err := c.lookup(config); err != nil {
		return nil, err
	}
	next := config.OnPgError
	config.OnPgError = func(conn *pgconn.PgConn, pg *pgconn.PgError) bool {
		pg.Message = said(pg)
		return next == nil || next(conn, pg)
	}
	return config, c.tlsVersions(config)
}

// lookup has the hosts reached at the addresses of hostaddr, which stand for
// them one by one; the names go on to be what certificates are checked for.
func (c Conninfo) lookup(config *pgx.ConnConfig) error {
	if c.values["hostaddr"] == "" || c.values["host"] == "" {
		return nil
	}
	hosts, addresses := strings.Split(c.values["host"], ","), strings.Split(c.values["hostaddr"], ",")
	if len(hosts) != len(addresses) {
		return fmt.Errorf("host names %d servers and hostaddr %d", len(hosts), len(addresses))
	}
	of := map[string]string{}
	for i, host := range hosts {
		of[host] = addresses[i]
	}
	config.LookupFunc = func(ctx context.Context, host string) ([]string, error) {
		if address := of[host]; address != "" {
			return []string{address}, nil
		}
		return net.DefaultResolver.LookupHost(ctx, host)
	}
	return nil
}

// dialer opens TCP connections with the keepalives of the connection string.
func (c Conninfo) dialer() (*net.Dialer, error) {
	number := func(word string) (int, error) {
		n, err := strconv.Atoi(c.values[word])
		if c.values[word] != "" && (err != nil || n < 0) {
			return 0, fmt.Errorf("%s: want a whole number", word)
		}
		return n, nil
	}
	var n [4]int
	for i, word := range []string{"keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"} {
		var err error
		if n[i], err = number(word); err != nil {
			return nil, err
		}
	}
	d := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		Enable:   c.values["keepalives"] != "0",
		Idle:     time.Duration(n[0]) * time.Second,
		Interval: time.Duration(n[1]) * time.Second,
		Count:    n[2],
	}}
	if !d.KeepAliveConfig.Enable {
		d.KeepAlive = -1
	}
	if n[3] > 0 {
		d.Control = func(network, _ string, raw syscall.RawConn) error {
			return userTimeout(network, raw, n[3])
		}
	}
	return d, nil
}

// userTimeout is how long sent data may stay unacknowledged, in milliseconds.
func userTimeout(network string, raw syscall.RawConn, milliseconds int) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds)
	})
	if err != nil {
		return err
	}
	return failed
}

var tlsVersions = map[string]uint16{
	"tlsv1": tls.VersionTLS10, "tlsv1.1": tls.VersionTLS11, "tlsv1.2": tls.VersionTLS12, "tlsv1.3": tls.VersionTLS13,
}

// tlsVersions sets the bounds of the connection string, on every server that
// it names.
func (c Conninfo) tlsVersions(config *pgx.ConnConfig) error {
	var bounds [2]uint16
	for i, word := range []string{"ssl_min_protocol_version", "ssl_max_protocol_version"} {
		if c.values[word] == "" {
			continue
		}
		version, ok := tlsVersions[strings.ToLower(c.values[word])]
		if !ok {
			return fmt.Errorf("%s: want TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3", word)
		}
		bounds[i] = version
	}
	configs := []*tls.Config{config.TLSConfig}
	for _, f := range config.Fallbacks {
		configs = append(configs, f.TLSConfig)
	}
	for _, t := range configs {
		if t == nil {
			continue
		}
		if bounds[0] != 0 {
			t.MinVersion = bounds[0]
		}
		if bounds[1] != 0 {
			t.MaxVersion = bounds[1]
		}
	}
	return nil
}
