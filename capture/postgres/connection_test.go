package postgres_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast"
	"holdfast/internal/libpq"
	"holdfast/internal/splicetest"
)

const password = `pass word's \ "odd" %41`

func TestDumpOverVerifiedTLSWithAPassword(t *testing.T) {
	v, err := splicetest.FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	server := splicetest.NewServerWith(t, splicetest.Options{Bin: v.Bin, TCP: true, TLS: true, Password: password})
	s := farm(t, server, "farm")
	over := func(words string, secret string) libpq.Target {
		t.Helper()
		info, err := libpq.Parse("host=127.0.0.1 user=postgres dbname=farm port=" + strconv.Itoa(server.Port()) + " " + words)
		if err != nil {
			t.Fatal(err)
		}
		return libpq.Target{Conninfo: info, Password: holdfast.Fixed(holdfast.NewSecret(secret))}
	}

	// While pg_dump runs, nobody who lists processes sees the password.
	var looked, seen int
	looking, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for looking.Err() == nil {
			lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
			for _, path := range lines {
				text, _ := os.ReadFile(path)
				if strings.Contains(string(text), "pg_dump") && strings.Contains(string(text), "farm") {
					looked++
				}
				if strings.Contains(string(text), `"odd"`) {
					seen++
				}
			}
		}
	})
	out := folder(t.TempDir())
	d := dumper(t, s, quick)
	d.Target = over("sslmode=verify-full sslrootcert="+server.CAFile, password)
	capture, err := d.Capture(t.Context(), component(s), clock(), out)
	stop()
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if looked == 0 {
		t.Error("pg_dump was not among the processes")
	}
	if seen > 0 {
		t.Error("the password is in the arguments of a process")
	}
	proveRestores(t, s, server, capture, out)

	for _, c := range []struct {
		name   string
		target libpq.Target
		class  holdfast.Class
	}{
		{"a wrong password", over("sslmode=verify-full sslrootcert="+server.CAFile, "wrong "+password), holdfast.WrongKey},
		{"an unknown authority", over("sslmode=verify-full sslrootcert="+otherCA(t), password), holdfast.Unreachable},
		{"in clear", over("sslmode=disable", password), holdfast.WrongKey},
		{"an unknown database", over("sslmode=require", password).On("nowhere"), holdfast.Usage},
	} {
		d := dumper(t, s, quick)
		d.Target = c.target
		_, err := d.Capture(t.Context(), component(s), clock(), folder(t.TempDir()))
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
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
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
