package place

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	schemeRule = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9+.-]+):(//)?`)
	driveRule  = regexp.MustCompile(`^[A-Za-z]:([\\/]|$)`)
)

// Parse reads a place: a path, or a URL of one of the kinds. A relative path is
// below the directory base. Errors say what is wanted and never repeat the
// text, which may be a secret in the wrong place.
func Parse(text, base string) (Place, error) {
	switch {
	case text == "":
		return Place{}, errors.New(wantDirectory)
	case strings.ContainsRune(text, 0):
		return Place{}, errors.New("a path has no zero byte")
	case text == "~" || strings.HasPrefix(text, "~/"):
		return Place{}, errors.New("only a shell expands ~: write the whole path")
	case driveRule.MatchString(text) || strings.HasPrefix(text, `\\`):
		return Place{}, errors.New("a drive or a share of Windows is no path: " +
			"mount it, and name the directory it is mounted on")
	}
	if m := schemeRule.FindStringSubmatch(text); m != nil && m[2] != "" {
		return parseURL(Scheme(strings.ToLower(m[1])), text)
	}
	before, _, colon := strings.Cut(text, ":")
	switch {
	case colon && before == string(File):
		return Place{}, errors.New("file:PATH names a secret: write only the path of a directory")
	case colon && !strings.Contains(before, "/"):
		return Place{}, errors.New("HOST:PATH names another machine: write it sftp://HOST/PATH; " +
			"a directory with a colon in its name is written ./NAME")
	case filepath.IsAbs(text):
		return Place{Scheme: File, Path: filepath.Clean(text)}, nil
	}
	return Place{Scheme: File, Path: filepath.Join(base, text)}, nil
}

// parseURL reads what begins with a scheme and two slashes.
func parseURL(scheme Scheme, text string) (Place, error) {
	k, known := kinds[scheme]
	if !known {
		return Place{}, fmt.Errorf("%s:// is unknown: %s", scheme, wantDirectory)
	}
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" || strings.ContainsRune(u.Path, 0) {
		return Place{}, fmt.Errorf("the address is malformed: want %s", k.form)
	}
	if _, secret := u.User.Password(); secret {
		return Place{}, errors.New("an address must not hold a password: messages would show it")
	}
	if scheme == File {
		if u.Host != "" || u.RawQuery != "" || u.User != nil {
			return Place{}, errors.New("file:// names a local directory: write only its path")
		}
		return Place{Scheme: File, Path: filepath.Clean("/" + u.Path)}, nil
	}
	return k.place(scheme, u)
}

// place makes a place from the parts of a URL.
func (k kind) place(scheme Scheme, u *url.URL) (Place, error) {
	p := Place{Scheme: scheme, Path: strings.Trim(u.Path, "/")}
	if slices.ContainsFunc(strings.Split(p.Path, "/"), func(s string) bool { return s == "." || s == ".." }) {
		return Place{}, fmt.Errorf("an address has no . or .. in its path: want %s", k.form)
	}
	if u.User != nil && k.authority != host {
		return Place{}, fmt.Errorf("an address of %s:// names no user: want %s", scheme, k.form)
	}
	switch k.authority {
	case bucket:
		p.Bucket = u.Host
	case account:
		p.Account = u.Host
		if k.container {
			p.Bucket, p.Path, _ = strings.Cut(p.Path, "/")
			p.Path = strings.Trim(p.Path, "/")
		}
	case host:
		p.Host, p.Account = strings.ToLower(u.Host), u.User.Username()
		if k.port != "" {
			p.Host = strings.TrimSuffix(p.Host, ":"+k.port)
		}
	}
	if err := errors.Join(k.complete(p, u), k.reach(&p, u)); err != nil {
		return Place{}, err
	}
	return p, nil
}

// complete checks that the address has all parts that identify the place.
func (k kind) complete(p Place, u *url.URL) error {
	switch {
	case u.Host == "", k.authority != host && u.Port() != "", k.container && p.Bucket == "",
		slices.Contains(k.holds, Identities) && p.Path == "",
		len(strings.Split(p.Path, "/")) < k.parts:
		return fmt.Errorf("the address is incomplete: want %s", k.form)
	}
	return nil
}

// reach reads the options. An endpoint is a server, and identifies the place.
func (k kind) reach(p *Place, u *url.URL) error {
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("the address is malformed: want %s", k.form)
	}
	for name, values := range options {
		if !slices.Contains(k.options, name) || len(values) != 1 {
			return fmt.Errorf("%s:// has an unknown option, or one twice; known are: %s",
				p.Scheme, strings.Join(append(slices.Clone(k.options), "no others"), ", "))
		}
	}
	if server := options.Get(endpoint); server != "" {
		p.Host = strings.ToLower(server)
	}
	options.Del(endpoint)
	p.Options = options.Encode()
	return nil
}
