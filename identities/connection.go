package identities

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"holdfast"
)

// RequestTime bounds one request where no other timeout is given. The dump takes
// the validator app well under a second; a token endpoint may be slow.
const RequestTime = 30 * time.Second

// connection says how to reach a server.
type connection struct {
	ca      []byte        // PEM certificates, trusted in addition to the system's
	address string        // host:port to dial instead of the URL's host; "": the URL's host
	timeout time.Duration // of one request; 0 for RequestTime
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// client returns an HTTP client for one request. It follows no redirects: they
// would send the token or the client's secret to another server.
func (c connection) client() (*http.Client, error) {
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true,
	}
	if len(c.ca) > 0 {
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(c.ca) {
			return nil, &holdfast.Problem{
				Class: holdfast.Usage,
				What:  "the extra CA file contains no PEM certificate",
				Do:    "Give the CA's certificate, which begins with -----BEGIN CERTIFICATE-----.",
			}
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if c.address != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, c.address)
		}
	}
	if c.dial != nil {
		transport.Proxy, transport.DialContext = nil, c.dial
	}
	timeout := c.timeout
	if timeout <= 0 {
		timeout = RequestTime
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// localAddress is where names that end in .localhost are reached: compose uses
// such names for its web pages, and few resolvers know them.
func localAddress(u *url.URL) string {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if !strings.HasSuffix(host, ".localhost") {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "80"
		if u.Scheme == "https" {
			port = "443"
		}
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// baseURL parses an address from the configuration.
func baseURL(what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &holdfast.Problem{
			Class: holdfast.Usage,
			What:  fmt.Sprintf("%s %q is not an http or https address", what, text),
			Do:    "Write the full address, such as http://wallet.localhost or https://wallet.validator.example.com.",
		}
	}
	return u, nil
}

// unreachable explains why a request got no answer. The request's own error
// repeats method and URL, so only its cause is kept.
func unreachable(what string, err error) error {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", what, err)
	}
	p := &holdfast.Problem{Class: holdfast.Unreachable, What: what, Why: whyDump, Err: err}
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		p.What += ": the name " + dns.Name + " is unknown here"
		p.Do = "Check the name in the address, or set the address to dial."
	case errors.As(err, &certificate):
		p.Class = holdfast.Failed
		p.What += ": its certificate is not trusted"
		p.Do = certificateAdvice(certificate.Err)
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		p.Class = holdfast.Failed
		p.What += ": this port does not speak TLS"
		p.Do = "Use http:// in the address, or the port that serves https."
	case errors.Is(err, syscall.ECONNREFUSED):
		p.What += ": nothing listens there"
		p.Do = "Check that it runs, and check the port in the address: a published port may have changed."
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		p.What += ": no answer in time"
		p.Do = "Check firewalls and network policies in between. If the server is only slow, raise the timeout."
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		p.What += ": the connection broke off"
		p.Do = "Try again. If it fails again, check the proxy in between."
	}
	return p
}

func certificateAdvice(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &name):
		return "Use the name in the certificate. The address to dial can be set separately."
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "Renew the server's certificate, and check the clock of this machine."
	}
	return "Give the certificate of the CA that signed it as the extra CA file."
}

// read returns at most limit bytes of a body.
func read(what string, body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, unreachable(what, err)
	}
	if int64(len(data)) > limit {
		return nil, &holdfast.Problem{
			Class: holdfast.Failed,
			What:  fmt.Sprintf("%s: the answer is larger than %d bytes", what, limit),
			Why:   whyDump,
			Do:    doAddress,
		}
	}
	return data, nil
}
