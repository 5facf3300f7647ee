package databases

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"holdfast"
	"holdfast/canton"
	"holdfast/internal/libpq"
	"holdfast/observed"
)

// Observe looks at the live database of a component: what it says about
// itself, its server, and the room there is. Since is the ledger offset after
// which parties count as new; nil when there is none to compare with.
func (n Live) Observe(ctx context.Context, c holdfast.Component, since *int64) (observed.Database, error) {
	t, ok := n.Addresses[c.Name]
	if !ok {
		return observed.Database{}, fmt.Errorf("component %s has no database", c.Name)
	}
	conn, err := t.Connect(ctx, libpq.Options{Application: "holdfast"})
	if err != nil {
		return observed.Database{}, err
	}
	defer hangUp(conn)
	var live observed.Database
	var address, dir *string
	if live.Clock, err = clockOf(ctx, conn); err != nil {
		return live, unreadable(t, err)
	}
	// Where the server keeps its data, only some roles may ask.
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery(),
		pg_database_size(current_database()), host(inet_server_addr()),
		CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') THEN current_setting('data_directory') END`).
		Scan(&live.Server.Version, &live.Server.Number, &live.Server.Standby, &live.Bytes, &address, &dir)
	if err != nil {
		return live, unreadable(t, err)
	}
	live.Where, live.Local = serverOf(t), local(address)
	live.Free = freeBytes(live.Where, address, dir)
	if live.Facts, err = canton.Read(ctx, conn, c.Kind); err != nil {
		return live, unreadable(t, err)
	}
	if list, err := canton.Sessions(ctx, conn, t.Database()); err == nil {
		live.Alive = canton.Alive(slices.DeleteFunc(list, canton.Session.Ours))
	}
	if since != nil && live.Facts.Participant != nil {
		live.Parties, err = partiesSince(ctx, conn, *since)
	}
	return live, err
}

// Alive says whether each database has one program of its kind alive at most.
// Their addresses tell them apart.
func (n Live) Alive(ctx context.Context) (holdfast.Finding, error) {
	var all []holdfast.Finding
	for _, c := range n.Components {
		t, ok := n.Addresses[c.Name]
		if !ok || !canton.HasLock(c.Kind) {
			continue
		}
		conn, err := t.Connect(ctx, libpq.Options{Application: "holdfast"})
		if err != nil {
			return holdfast.Finding{}, err
		}
		list, err := canton.Sessions(ctx, conn, t.Database())
		hangUp(conn)
		if err != nil {
			return holdfast.Finding{}, unreadable(t, err)
		}
		all = append(all, canton.OneLiving(t.Database(), c.Kind, canton.LivingOn(list, c.Kind)))
	}
	return holdfast.Together(all), nil
}

// Clock is the clock of a component's server minus ours.
func (n Live) Clock(ctx context.Context, c holdfast.ComponentName) (time.Duration, error) {
	t, ok := n.Addresses[c]
	if !ok {
		return 0, fmt.Errorf("component %s has no database", c)
	}
	conn, err := t.Connect(ctx, libpq.Options{Application: "holdfast"})
	if err != nil {
		return 0, err
	}
	defer hangUp(conn)
	return clockOf(ctx, conn)
}

// clockOf compares the server's clock with ours in the middle of the question.
func clockOf(ctx context.Context, conn *pgx.Conn) (time.Duration, error) {
	var now time.Time
	began := time.Now()
	if err := conn.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		return 0, err
	}
	return now.Sub(began.Add(time.Since(began) / 2)).Round(time.Millisecond), nil
}

func partiesSince(ctx context.Context, conn *pgx.Conn, offset int64) ([]string, error) {
	parties, err := canton.PartiesSince(ctx, conn, offset)
	if parties == nil {
		parties = []string{}
	}
	return parties, err
}

// serverOf names the server of a target, without the database.
func serverOf(t libpq.Address) string {
	where := t.Where()
	if _, server, found := strings.Cut(where, " at "); found {
		return server
	}
	return where
}

// local reports whether the server runs on this machine, so that its clock is
// this one: reached by a socket or by the loopback, or in a container here. A
// tunnel looks the same and is taken for it, which errs on the safe side.
func local(address *string) bool {
	if address == nil {
		return true
	}
	ip := net.ParseIP(*address)
	if ip == nil || ip.IsLoopback() {
		return true
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if subnet, ok := a.(*net.IPNet); ok && (subnet.IP.Equal(ip) || bridged(i.Name) && subnet.Contains(ip)) {
				return true
			}
		}
	}
	return false
}

// bridged recognizes the networks that container engines make on a machine.
func bridged(name string) bool {
	for _, prefix := range []string{"docker", "br-", "podman", "cni", "virbr"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// freeBytes are those where a server on this machine keeps its data. A
// container's directories are not this machine's, whatever they are called.
func freeBytes(server string, address, dir *string) holdfast.Observed[int64] {
	switch {
	case address != nil && !net.ParseIP(*address).IsLoopback():
		return holdfast.Unknown[int64]("the disk of " + server + " is not seen from here")
	case dir == nil:
		return holdfast.Unknown[int64]("the role may not ask where " + server + " keeps its data: GRANT pg_read_all_settings, or pg_monitor")
	}
	return FreeAt(*dir)
}

// FreeAt are the bytes that may still be written below a directory.
func FreeAt(dir string) holdfast.Observed[int64] {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return holdfast.Unknown[int64](fmt.Sprintf("%s: %v", dir, err))
	}
	return holdfast.Known(int64(fs.Bavail) * int64(fs.Bsize)) //nolint:gosec,unconvert // the types differ between systems
}

// fileSystem identifies the file system of a directory; "" where it is unknown.
func fileSystem(dir string) string {
	var of syscall.Stat_t
	if err := syscall.Stat(dir, &of); err != nil {
		return ""
	}
	return fmt.Sprint(of.Dev)
}
