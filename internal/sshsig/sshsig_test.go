package sshsig_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/internal/sshsig"
)

// ssh-keygen, which we did not write, takes the signature, and not that of
// another message, another key or another purpose.
func TestOpenSSHVerifies(t *testing.T) {
	program, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("needs ssh-keygen (openssh-client)")
	}
	private, public, err := sshsig.NewKey("demo@holdfast")
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("the set restores\n")
	signature, err := sshsig.Sign(private, "holdfast-drill", message)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, other, err := sshsig.NewKey("other")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, key, namespace string
		message              []byte
		good                 bool
	}{
		{"as it is", public, "holdfast-drill", message, true},
		{"another message", public, "holdfast-drill", append(bytes.Clone(message), '.'), false},
		{"another key", other, "holdfast-drill", message, false},
		{"another purpose", public, "file", message, false},
	} {
		cmd := exec.Command(program, "-Y", "verify", "-f", write("allowed", "auditor "+c.key+"\n"), "-I", "auditor", "-n", c.namespace, "-s", write("sig", signature))
		cmd.Stdin = bytes.NewReader(c.message)
		out, err := cmd.CombinedOutput()
		if good := err == nil && strings.Contains(string(out), "Good"); good != c.good {
			t.Errorf("%s: %v: %s", c.name, err, out)
		}
	}
	if _, err := sshsig.Sign("no key", "x", nil); err == nil {
		t.Error("a key that is none signs")
	}
}
