package place

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// parts are the names of what identifies a place, by what its URL begins with: that
// of the host part, and those of the path.
var parts = map[part]struct {
	first string
	path  []string
}{
	bucket:  {"bucket", []string{"prefix"}},
	account: {"account", []string{"container", "prefix"}},
	host:    {"host", []string{"path"}},
}

// user is the name of whose a place of another machine is.
const user = "user"

// Of makes a place of its parts, as a mapping of the configuration has them:
//
//	s3: {bucket: example-holdfast, prefix: validator-1, region: eu-central-1}
//
// It is the same as the place of that URL.
func Of(scheme Scheme, values map[string]string) (Place, error) {
	k, known := kinds[scheme]
	names, ok := parts[k.authority]
	if !known || !ok {
		return Place{}, fmt.Errorf("%s is no kind of place with parts", scheme)
	}
	rest := maps.Clone(values)
	take := func(name string) string {
		defer delete(rest, name)
		return rest[name]
	}
	u := &url.URL{Scheme: string(scheme), Host: take(names.first)}
	if strings.ContainsAny(u.Host, "/?#@") {
		return Place{}, fmt.Errorf("%s is one name: the path is a part of its own", names.first)
	}
	var path []string
	for i, name := range names.path {
		text := strings.Trim(take(name), "/")
		if k.container && i == 0 && strings.Contains(text, "/") {
			return Place{}, fmt.Errorf("%s is one name: the prefix is a part of its own", name)
		}
		path = append(path, text)
	}
	u.Path = "/" + strings.Trim(strings.Join(path, "/"), "/")
	if k.authority == host {
		if name := take(user); name != "" {
			u.User = url.User(name)
		}
	}
	options := url.Values{}
	for name, value := range rest {
		if !slices.Contains(k.options, name) {
			return Place{}, errors.New("known here are " + strings.Join(k.names(), ", "))
		}
		if value != "" {
			options.Set(name, value)
		}
	}
	u.RawQuery = options.Encode()
	return k.place(scheme, u)
}

// names are those of all parts and options.
func (k kind) names() []string {
	names := append([]string{parts[k.authority].first}, parts[k.authority].path...)
	if k.authority == host {
		names = append(names, user)
	}
	return append(names, k.options...)
}
