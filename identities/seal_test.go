package identities_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"strings"
	"testing"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"holdfast"
	"holdfast/identities"
)

func TestWhatIsSealedOpensWithEachRecipientsKey(t *testing.T) {
	ageKey, ageRecipient := recoveryKey(t)
	edKey, edRecipient := sshKey(t, must(ed25519Key()), "")
	rsaKey, rsaRecipient := sshKey(t, must(rsa.GenerateKey(rand.Reader, 2048)), "")
	sealed := seal(t, []byte("the dump"), ageRecipient, edRecipient, rsaRecipient)
	if bytes.Contains(sealed, []byte("the dump")) {
		t.Fatal("it is not sealed")
	}
	for name, key := range map[string]holdfast.Secret{"age": ageKey, "ssh-ed25519": edKey, "ssh-rsa": rsaKey} {
		got, err := open(sealed, key)
		if err != nil || string(got) != "the dump" {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}

	post := must(age.GenerateHybridIdentity())
	sealed = seal(t, []byte("the dump"), post.Recipient().String())
	if got, err := open(sealed, holdfast.NewSecret(post.String())); err != nil || string(got) != "the dump" {
		t.Errorf("post-quantum: got %q, %v", got, err)
	}
}

func TestAWrongKeySaysWhoseKeyIsNeeded(t *testing.T) {
	_, recipient := recoveryKey(t)
	other, _ := recoveryKey(t)
	keys := must(identities.ParseKeys(other))
	_, err := identities.Open(bytes.NewReader(seal(t, []byte("the dump"), recipient)), keys, []string{recipient})
	expect(t, err, holdfast.WrongKey, "sealed to "+recipient, "one of them")
	_, err = identities.Open(bytes.NewReader(seal(t, []byte("the dump"), recipient)), nil, nil)
	expect(t, err, holdfast.WrongKey, "no recovery key", "recovery key")
}

func TestDamagedSealsDoNotOpen(t *testing.T) {
	key, recipient := recoveryKey(t)
	whole := seal(t, bytes.Repeat([]byte("x"), 100_000), recipient)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	for name, sealed := range map[string][]byte{
		"empty": {}, "cut short": whole[:len(whole)-1], "cut at a chunk": whole[:70_000], "flipped": flipped, "something else": []byte("PK\x03\x04"),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(sealed, key)
			expect(t, err, holdfast.Failed, "damaged", "another copy")
		})
	}
}

func TestSealReportsAFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	_, recipient := recoveryKey(t)
	if err := identities.Seal(failing{full}, []byte("the dump"), must(identities.ParseRecipients([]string{recipient}))); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestParseRecipients(t *testing.T) {
	key, recipient := recoveryKey(t)
	_, sshRecipient := sshKey(t, must(ed25519Key()), "")
	post := must(age.GenerateHybridIdentity()).Recipient().String()

	got, err := identities.ParseRecipients([]string{"# the safe", "", " " + recipient + "\n", recipient, sshRecipient + " bob@office", sshRecipient})
	if err != nil || len(got) != 2 || got[0].String() != recipient || got[1].String() != sshRecipient+" bob@office" {
		t.Errorf("got %v, %v", got, err)
	}
	for _, c := range []struct {
		name  string
		texts []string
		what  string
		do    string
	}{
		{"none", nil, "no recipient", "recovery key"},
		{"only comments", []string{"# nobody"}, "no recipient", "recovery key"},
		{"a private key", []string{key.Reveal()}, "a private key is configured", "public key"},
		{"half of one", []string{recipient[:40]}, "checksum is wrong", "all of it"},
		{"a mistyped one", []string{mistyped(recipient)}, "checksum is wrong", "all of it"},
		{"a plugin's", []string{"age1yubikey1q0m3cprmex0d2thamkx9pwvhsqwcm2gel50rdxmeclvkgqtem9dxz4smpwv"}, `the age plugin "yubikey"`, "age1"},
		{"a security key", []string{"sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIBKp alice"}, "do not decrypt", "ssh-rsa"},
		{"a damaged SSH key", []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 alice"}, "damaged SSH public key", ".pub"},
		{"a file", []string{"team.txt"}, "looks like a file", "the public key itself"},
		{"a path", []string{"/etc/holdfast/team"}, "looks like a file", "the public key itself"},
		{"a password", []string{"correct horse battery"}, "not a public key", "age1"},
		{"an ECDSA SSH key", []string{"ecdsa-sha2-nistp256 AAAA"}, "age does not seal to: ecdsa-sha2-nistp256", "ssh-rsa"},
		{"post-quantum and not", []string{post, recipient}, "incompatible recipients", "not mix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identities.ParseRecipients(c.texts)
			expect(t, err, holdfast.Usage, c.what, c.do)
			if strings.Contains(err.Error(), key.Reveal()[20:]) || strings.Contains(err.Error(), "horse") {
				t.Errorf("%v repeats what may be a secret", err)
			}
		})
	}
}

func TestParseKeysSaysWhatIsWrongWithAKey(t *testing.T) {
	good, recipient := recoveryKey(t)
	locked, public := sshKey(t, must(ed25519Key()), "a passphrase")
	curve, _ := sshKey(t, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "")

	if keys, err := identities.ParseKeys(holdfast.NewSecret("# created: today\n" + good.Reveal() + "\n")); err != nil || len(keys) != 1 {
		t.Errorf("a key file: got %d keys, %v", len(keys), err)
	}
	for _, c := range []struct {
		name, text, what, do string
	}{
		{"nothing", " \n", "is empty", "AGE-SECRET-KEY-"},
		{"half of one", good.Reveal()[:40], "typing error", "all of it"},
		{"one letter is wrong", mistyped(good.Reveal()), "typing error", "mixed up"},
		{"a plugin's", "AGE-PLUGIN-YUBIKEY-1QQQQQQYQQQQQQQQQQQQQQQ", "the age plugin yubikey", "age -d -i KEY"},
		{"something else", "correct horse battery", "unreadable", "AGE-SECRET-KEY-"},
		{"the public key", recipient, "a public key", "AGE-SECRET-KEY-"},
		{"the SSH public key", public, "a public key", ".pub"},
		{"an SSH key with a passphrase", locked.Reveal(), "protected by a passphrase", "ssh-keygen -p"},
		{"an SSH key of another kind", curve.Reveal(), "unreadable", "ssh-ed25519"},
		{"a sealed key file", "age-encryption.org/v1\n-> scrypt", "itself encrypted", "age -d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := identities.ParseKeys(holdfast.NewSecret(c.text))
			expect(t, err, holdfast.WrongKey, c.what, c.do)
			if strings.Contains(err.Error(), good.Reveal()[16:40]) {
				t.Errorf("the key is in %v", err)
			}
		})
	}
}

// A key opens as it comes back from a safe, from Windows or by mail.
func TestKeysAsPeopleHaveThem(t *testing.T) {
	good, recipient := recoveryKey(t)
	post := must(age.GenerateHybridIdentity())
	key := good.Reveal()
	utf16le := "\xff\xfe"
	for _, r := range key + "\r\n" {
		utf16le += string([]byte{byte(r), 0})
	}
	for name, text := range map[string]string{
		"CR LF":                         key + "\r\n",
		"a byte order mark":             "\xef\xbb\xbf" + key + "\n",
		"UTF-16":                        utf16le,
		"in quotes":                     `"` + key + `"`,
		"lower case":                    strings.ToLower(key),
		"behind a label":                "recovery key: " + key,
		"wrapped":                       key[:40] + "\n" + key[40:] + "\n",
		"wrapped in a quotation":        "> " + key[:40] + "\r\n> " + key[40:] + "\r\n",
		"of a password manager's notes": "Holdfast\n\nKey\t" + key + "\nNotes\tmove away\n",
	} {
		keys, err := identities.ParseKeys(holdfast.NewSecret(text))
		if err != nil || len(keys) != 1 {
			t.Errorf("%s: %d keys, %v", name, len(keys), err)
			continue
		}
		if got := keys[0].(*age.X25519Identity).Recipient().String(); got != recipient {
			t.Errorf("%s: the key of %s", name, got)
		}
	}
	keys, err := identities.ParseKeys(holdfast.NewSecret("key: " + post.String()))
	if err != nil || len(keys) != 1 {
		t.Errorf("a post-quantum key behind a label: %d keys, %v", len(keys), err)
	}
}

// mistyped changes one letter in the middle, which the checksum catches.
func mistyped(text string) string {
	i := len(text) / 2
	other := byte('q')
	if text[i] >= 'A' && text[i] <= 'Z' {
		other = 'Q'
	}
	if text[i] == other {
		other--
	}
	return text[:i] + string(other) + text[i+1:]
}

func recoveryKey(t *testing.T) (holdfast.Secret, string) {
	t.Helper()
	key, recipient, err := identities.NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, recipient
}

// sshKey is a private key in PEM, and its public key.
func sshKey(t *testing.T, key any, passphrase string) (holdfast.Secret, string) {
	t.Helper()
	block := must(ssh.MarshalPrivateKey(key, ""))
	if passphrase != "" {
		block = must(ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase)))
	}
	signer := must(ssh.NewSignerFromKey(key))
	return holdfast.NewSecret(string(pem.EncodeToMemory(block))), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))
}

func ed25519Key() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func seal(t *testing.T, dump []byte, to ...string) []byte {
	t.Helper()
	recipients, err := identities.ParseRecipients(to)
	if err != nil {
		t.Fatal(err)
	}
	var sealed bytes.Buffer
	if err := identities.Seal(&sealed, dump, recipients); err != nil {
		t.Fatal(err)
	}
	return sealed.Bytes()
}

func open(sealed []byte, key holdfast.Secret) ([]byte, error) { return openWith(sealed, key) }

func openWith(sealed []byte, texts ...holdfast.Secret) ([]byte, error) {
	var ring identities.Keyring
	for _, text := range texts {
		if err := ring.Add(text); err != nil {
			return nil, err
		}
	}
	keys, err := ring.Keys()
	if err != nil {
		return nil, err
	}
	return identities.Open(bytes.NewReader(sealed), keys, nil)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
