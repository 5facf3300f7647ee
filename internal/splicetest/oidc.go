package splicetest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

//go:embed oidc.mjs
var oidcScript string

// OIDCOptions set up an issuer. The zero value has a client by itself.
type OIDCOptions struct {
	Dir            string        // with node_modules/oidc-provider; "" for what HOLDFAST_TEST_OIDC_PROVIDER names
	ClientID       string        // "" for "validator-backup"; it is the subject of the client's tokens
	ClientSecret   string        // "" for a fixed one
	BasicAuth      bool          // the client authenticates by HTTP basic, not in the form
	Audience       string        // of tokens whose request names no resource; "" for https://canton.network.global
	HonourAudience bool          // take the parameter audience as Auth0 does; otherwise it is ignored, as in Keycloak
	TTL            time.Duration // of tokens; 0 for five minutes
	Redirect       string        // where people who log in come back to; there is a client "page" then
	Groups         string        // of those people, with commas
}

// OIDC is a real OAuth2 server, npm's oidc-provider, on 127.0.0.1.
type OIDC struct {
	Issuer       string
	WellKnown    string // the discovery document
	Token        string // the token endpoint
	JWKS         string // the keys
	ClientID     string
	ClientSecret string

	cmd   *exec.Cmd
	stdin io.Closer
}

// StartOIDC starts an issuer. It ends with Close, or with this process.
func StartOIDC(ctx context.Context, options OIDCOptions) (*OIDC, error) {
	o, err := startOIDC(ctx, options)
	if err != nil {
		return nil, fmt.Errorf("start an OAuth2 server: %w", err)
	}
	return o, nil
}

func startOIDC(ctx context.Context, options OIDCOptions) (*OIDC, error) {
	if options.Dir == "" {
		options.Dir = os.Getenv("HOLDFAST_TEST_OIDC_PROVIDER")
	}
	if options.Dir == "" {
		return nil, fmt.Errorf("HOLDFAST_TEST_OIDC_PROVIDER names no directory with node_modules/oidc-provider")
	}
	library, err := filepath.Abs(filepath.Join(options.Dir, "node_modules", "oidc-provider", "lib", "index.js"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(library); err != nil {
		return nil, err
	}
	o := &OIDC{
		ClientID:     cmp.Or(options.ClientID, "validator-backup"),
		ClientSecret: cmp.Or(options.ClientSecret, "correct-horse-battery"),
	}
	method, honour := "client_secret_post", ""
	if options.BasicAuth {
		method = "client_secret_basic"
	}
	if options.HonourAudience {
		honour = "yes"
	}
	ttl := options.TTL
	if ttl <= 0 {
		ttl = 5 * time.Minute
	}
	var failed bytes.Buffer
	o.cmd = exec.Command("node", "--no-warnings", "--input-type=module", "-e", oidcScript)
	o.cmd.Env = append(os.Environ(), "OIDC_PROVIDER=file://"+library, "OIDC_CLIENT_ID="+o.ClientID,
		"OIDC_CLIENT_SECRET="+o.ClientSecret,
		"OIDC_AUTH_METHOD="+method, "OIDC_HONOUR_AUDIENCE="+honour,
		"OIDC_AUDIENCE="+cmp.Or(options.Audience, "https://canton.network.global"),
		"OIDC_TTL="+strconv.Itoa(int(ttl.Seconds())),
		"OIDC_REDIRECT="+options.Redirect, "OIDC_GROUPS="+options.Groups)
	o.cmd.Stderr = &failed
	stdin, err := o.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	o.stdin = stdin
	stdout, err := o.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := o.cmd.Start(); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = stdin.Close() })
	defer stop()
	// The library says on the same stream what it dislikes about the set-up.
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var said struct{ Issuer string }
		if json.Unmarshal(lines.Bytes(), &said) == nil && said.Issuer != "" {
			o.Issuer = said.Issuer
			break
		}
	}
	if o.Issuer == "" {
		_ = o.Close()
		return nil, fmt.Errorf("node ended: %s", strings.TrimSpace(failed.String()))
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	o.WellKnown, o.Token, o.JWKS = o.Issuer+"/.well-known/openid-configuration", o.Issuer+"/token", o.Issuer+"/jwks"
	return o, nil
}

// Close ends the server.
func (o *OIDC) Close() error {
	_ = o.stdin.Close()
	stubborn := time.AfterFunc(5*time.Second, func() { _ = o.cmd.Process.Kill() })
	defer stubborn.Stop()
	_ = o.cmd.Wait()
	return nil
}
