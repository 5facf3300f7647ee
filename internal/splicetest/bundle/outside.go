package bundle

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"testing"

	"holdfast/internal/splicetest"
)

// gateway is an address of the daemon's host that every container reaches.
func gateway(t testing.TB) string {
	t.Helper()
	bridge, err := net.InterfaceByName("docker0")
	if err != nil {
		t.Fatalf("%v (is this in the test bed's network? TestMain needs bundle.Main)", err)
	}
	addresses, err := bridge.Addrs()
	if err != nil || len(addresses) == 0 {
		t.Fatalf("docker0 has no address: %v", err)
	}
	return addresses[0].(*net.IPNet).IP.String()
}

// expose makes what listens on a port of 127.0.0.1 reachable from containers,
// and returns the address.
func expose(t testing.TB, port string) (host, at string) {
	t.Helper()
	host = gateway(t)
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
				if err != nil {
					return
				}
				defer server.Close()
				go func() { _, _ = io.Copy(server, client); halfClose(server) }()
				_, _ = io.Copy(client, server)
			}()
		}
	}()
	_, at, _ = net.SplitHostPort(listener.Addr().String())
	return host, at
}

// ExternalPostgres starts a database server outside Docker, as a provider's,
// with the two databases that an operator makes there by hand. The returned
// settings of .env make a bundle use it; the bundle's own server keeps running,
// with empty databases of the same names.
func ExternalPostgres(t testing.TB, participantDatabase string) map[string]string {
	t.Helper()
	const password = "from-the-provider"
	server := newExternal(t, password)
	host, port := expose(t, fmt.Sprint(server.Port()))
	ctx := context.Background()
	for _, statement := range []string{
		"create role cnadmin superuser login password '" + password + "'",
		`create database "` + participantDatabase + `" owner cnadmin`, "create database validator owner cnadmin",
	} {
		if err := server.Exec(ctx, "postgres", statement); err != nil {
			t.Fatal(err)
		}
	}
	return map[string]string{"SPLICE_DB_SERVER": host, "SPLICE_DB_PORT": port, "SPLICE_DB_PASSWORD": password}
}

func newExternal(t testing.TB, password string) *splicetest.Server {
	t.Helper()
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	return splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true, Password: password})
}

// Issuer starts an OAuth2 server and returns the settings of .env with which a
// bundle started with -a (Options.Flags) asks for its tokens. The well-known
// address is reached from the daemon's host, that of the keys from containers.
func Issuer(t testing.TB) (*splicetest.OIDC, map[string]string) {
	t.Helper()
	issuer := splicetest.NewOIDC(t, splicetest.OIDCOptions{})
	keys, err := url.Parse(issuer.JWKS)
	if err != nil {
		t.Fatal(err)
	}
	host, port := expose(t, keys.Port())
	keys.Host = net.JoinHostPort(host, port)
	return issuer, map[string]string{
		"AUTH_URL":                     issuer.Issuer,
		"AUTH_WELLKNOWN_URL":           issuer.WellKnown,
		"AUTH_JWKS_URL":                keys.String(),
		"LEDGER_API_AUTH_AUDIENCE":     "https://canton.network.global",
		"VALIDATOR_AUTH_AUDIENCE":      "https://canton.network.global",
		"VALIDATOR_AUTH_CLIENT_ID":     issuer.ClientID,
		"VALIDATOR_AUTH_CLIENT_SECRET": issuer.ClientSecret,
		"LEDGER_API_ADMIN_USER":        issuer.ClientID,
		"WALLET_ADMIN_USER":            "administrator",
	}
}
