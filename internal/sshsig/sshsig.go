// Package sshsig signs files as ssh-keygen -Y sign does, so that ssh-keygen -Y
// verify can check them on every machine. The format is OpenSSH's
// PROTOCOL.sshsig.
package sshsig

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

const (
	magic   = "SSHSIG"
	version = 1
	hash    = "sha512"
)

// NewKey creates an ed25519 key: the private part in OpenSSH's PEM form, the
// public part as a line of an authorized_keys file.
func NewKey(comment string) (private, public string, err error) {
	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(priv, comment)
	if err != nil {
		return "", "", err
	}
	key, err := ssh.NewPublicKey(pub)
	if err != nil {
		return "", "", err
	}
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
	return string(pem.EncodeToMemory(block)), line + " " + comment, nil
}

// Sign signs a message with a private key for a namespace: the purpose of the
// signature, which must be given again to verify it.
func Sign(private, namespace string, message []byte) (string, error) {
	signer, err := ssh.ParsePrivateKey([]byte(private))
	if err != nil {
		return "", fmt.Errorf("signing key: %w", err)
	}
	digest := sha512.Sum512(message)
	signature, err := signer.Sign(rand.Reader, append([]byte(magic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{namespace, "", hash, digest[:]})...))
	if err != nil {
		return "", err
	}
	blob := append([]byte(magic), ssh.Marshal(struct {
		Version                   uint32
		Key                       []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{version, signer.PublicKey().Marshal(), namespace, "", hash, ssh.Marshal(signature)})...)
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: blob})), nil
}
