package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast"
	"holdfast/capture/postgres"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

const password = `pass word's \ "odd" %41`

// Where an address alone does not lead to the server, pg_dump goes where our own
// connections go; and the port that leads it is gone with it.
func TestClientProgramsGoWhereDialLeads(t *testing.T) {
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	server := splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true, Password: password})
	s := farm(t, server, "farm")
	info, err := libpq.Parse("host=postgres.nowhere.svc user=postgres dbname=farm")
	if err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1:" + strconv.Itoa(server.Port()) // where a statement is cancelled
	var dialed atomic.Int64
	d := dumper(t, s, quick)
	d.Address = libpq.Address{
		Conninfo: info, Password: holdfast.Fixed(holdfast.NewSecret(password)),
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			if address != "postgres.nowhere.svc:5432" && address != at {
				t.Errorf("dialed %s", address)
			}
			dialed.Add(1)
			return new(net.Dialer).DialContext(ctx, "tcp", at)
		},
	}
	if _, err := d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{}); err != nil {
		t.Fatal(err)
	}
	if dialed.Load() < 3 {
		t.Errorf("%d connections, of which one is pg_dump's", dialed.Load())
	}
}

func TestDumpOverVerifiedTLSWithAPassword(t *testing.T) {
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	server := splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true, TLS: true, Password: password})
	s := farm(t, server, "farm")
	over := func(words string, secret string) libpq.Address {
		t.Helper()
		info, err := libpq.Parse("host=127.0.0.1 user=postgres dbname=farm port=" + strconv.Itoa(server.Port()) +
			" " + words)
		if err != nil {
			t.Fatal(err)
		}
		return libpq.Address{Conninfo: info, Password: holdfast.Fixed(holdfast.NewSecret(secret))}
	}

	// Whoever lists processes sees the arguments of pg_dump.
	seen := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$@\" >>'%s/arguments'\nexec '%s' \"$@\"\n", seen,
		program(t, "pg_dump"))
	if err := os.WriteFile(filepath.Join(seen, "pg_dump"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	out := folder(t.TempDir())
	d := dumper(t, s, quick)
	d.Address = over("sslmode=verify-full sslrootcert="+server.CAFile, password)
	d.Tools = postgres.Tools{Dir: seen}
	capture, err := d.Capture(t.Context(), component(s), clock(), out, holdfast.Earlier{})
	if err != nil {
		t.Fatal(err)
	}
	if arguments := string(stored(t, folder(seen), "arguments")); !strings.Contains(arguments, "--schema-only") ||
		strings.Contains(arguments, "odd") {
		t.Errorf("pg_dump was started with %s", arguments)
	}
	proveRestores(t, s, server, part(capture), out)

	for _, c := range []struct {
		name   string
		target libpq.Address
		class  holdfast.Class
	}{
		{"a wrong password", over("sslmode=verify-full sslrootcert="+server.CAFile, "wrong "+password),
			holdfast.WrongKey},
		{"an unknown authority", over("sslmode=verify-full sslrootcert="+otherCA(t), password), holdfast.Unreachable},
		{"in clear", over("sslmode=disable", password), holdfast.WrongKey},
		{"an unknown database", over("sslmode=require", password).On("nowhere"), holdfast.Usage},
	} {
		d := dumper(t, s, quick)
		d.Address = c.target
		_, err := d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()), holdfast.Earlier{})
		if holdfast.ClassOf(err) != c.class {
			t.Errorf("%s: %s: %v", c.name, holdfast.ClassOf(err), err)
		}
		if text := err.Error() + advice(err); strings.Contains(text, "odd") {
			t.Errorf("%s: the password is in the message: %s", c.name, text)
		}
	}
}

// otherCA is a file with the certificate of an authority that signed nothing.
func otherCA(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
