package firstrun

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"holdfast/place"
	"holdfast/repository"
	"holdfast/setup"
)

// accessParts are the parts of repository.access in their order; the last two are files,
// the others references to secrets.
var accessParts = []string{"id", "secret", "token", "key", "ca", "known_hosts"}

// chain is how a kind of place lets us in where the configuration does not say it.
type chain struct {
	without string // what is looked at
	example string // repository.access with credentials of the repository's own
}

// chains are those of the kinds of places; docs/places.md has the whole of them.
var chains = map[place.Scheme]chain{
	place.S3: {
		"AWS's own chain: variables, ~/.aws, web identity, the machine's role",
		"{id: 'file:s3.id', secret: 'file:s3.secret'}",
	},
	place.GCS: {
		"Google's own chain: GOOGLE_APPLICATION_CREDENTIALS, gcloud's, the machine's service account",
		"{key: 'file:service-account.json'}",
	},
	place.Azure: {
		"Azure's own chain: variables, workload identity, the machine's managed identity, az",
		"{key: 'file:azure.key'}",
	},
	place.SFTP: {
		"~/.ssh/id_ed25519 and the like, and ~/.ssh/known_hosts",
		"{key: 'file:id_ed25519', known_hosts: known_hosts}",
	},
	place.WebDAV: {"no password", "{secret: 'file:webdav.password'}"},
}

// draftAccess says how the place of the repository lets us in: by what was given, or by
// the vendor's own chain, with a line to complete.
func (r *run) draftAccess(line func(string, ...any)) {
	if len(r.access) > 0 {
		line("  access:")
		for _, part := range accessParts {
			if reference := r.access[part]; reference != "" {
				line("    %s: %s", part, yamlString(reference))
			}
		}
		return
	}
	at, err := place.Parse(r.Repository, r.dir)
	if c, ok := chains[at.Scheme]; ok && err == nil {
		line("  # Who lets Holdfast in there: %s.", c.without)
		line("  # Or credentials of its own, by reference:")
		line("  # access: %s", c.example)
	}
}

// readAccess reads PART=REFERENCE of --repository-access.
func (r *run) readAccess() error {
	r.access = map[string]string{}
	for _, text := range r.Access {
		part, reference, found := strings.Cut(text, "=")
		if !found || reference == "" || !slices.Contains(accessParts, part) {
			return usage("--repository-access: want PART=REFERENCE, such as secret=file:PATH; the parts are %s",
				strings.Join(accessParts, ", "))
		}
		r.access[part] = reference
	}
	return nil
}

// by is what was given of the access, for a repository that is looked at before there is
// a configuration.
func (r *run) by() (repository.Option, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the working directory: %w", err)
	}
	read := setup.Secrets(here, r.options.Secrets)
	return repository.By(repository.Access{
		ID: read.Of(r.access["id"]), Secret: read.Of(r.access["secret"]),
		Token: read.Of(r.access["token"]), Key: read.Of(r.access["key"]),
		Authority: r.access["ca"], KnownHosts: r.access["known_hosts"],
	}), nil
}
