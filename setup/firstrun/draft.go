package firstrun

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"holdfast"
	"holdfast/identities"
	"holdfast/internal/libpq"
)

// draft is the text of the configuration. It makes the keys that are missing.
func (r *run) draft() (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Holdfast: what is backed up, and where to. Secrets are references: file:PATH,")
	line("# env:NAME or exec:COMMAND. `holdfast config show --origin` prints what is in force.")
	line("")
	line("# The node's name in the repository.")
	line("node: %s", yamlString(r.Node))
	line("")
	if r.Project != "" {
		line("# The node's containers say where its databases are, and as whom to connect.")
		line("compose:")
		line("  project: %s", yamlString(r.Project))
		if r.DockerHost != "" {
			line("  docker_host: %s", yamlString(r.DockerHost))
		}
		if r.Bundle != "" {
			line("  directory: %s", yamlString(r.Bundle))
		}
		if len(r.Services) > 0 {
			line("  services: # several containers may be these")
			for _, role := range slices.Sorted(maps.Keys(r.Services)) {
				line("    %s: %s", role, yamlString(r.Services[role]))
			}
		}
		line("")
	}
	if r.Kube {
		r.draftCluster(line)
	}
	if len(r.Databases) > 0 || r.Project == "" {
		if err := r.draftDatabases(line); err != nil {
			return "", err
		}
	}
	if r.URL == "-" {
		line("")
		line("# No identities: sets have no second way back. docs/operate.md, Identities.")
	} else if err := r.draftIdentities(line); err != nil {
		return "", err
	}
	r.draftRepository(line)
	return b.String(), nil
}

// draftCluster writes where a node in Kubernetes runs.
func (r *run) draftCluster(line func(string, ...any)) {
	line("# The node's namespace, of which every set has what it is made again of. Names")
	line("# that end in .svc are the cluster's: with a context, connections to them are")
	line("# forwarded through its API.")
	line("kube:")
	if r.cluster != nil {
		line("  kubeconfig: %s", yamlString(r.cluster.Kubeconfig))
		line("  context: %s", yamlString(r.cluster.Context))
	}
	line("  namespace: %s", yamlString(r.Namespace))
	if name := r.Services["validator"]; name != "" {
		line("  validator: %s # of several in the namespace", yamlString(name))
	}
	line("")
}

// draftDatabases writes the databases that are given by connection strings.
func (r *run) draftDatabases(line func(string, ...any)) error {
	line("# The validator app's database is captured before the participant's, always.")
	line("# Further databases, such as an app's backend, take before: and after: lists.")
	line("databases:")
	for _, text := range r.Databases {
		name, dsn, found := strings.Cut(text, "=")
		if !found || strings.ContainsAny(name, ":/ ") {
			return usage("--database: want COMPONENT=CONNECTION, such as participant=postgres://host/participant")
		}
		info, err := libpq.Parse(dsn)
		if err != nil {
			return usage("--database %s: %w", name, err)
		}
		line("  %s:", name)
		line("    connection: %s", yamlString(info.String()))
		if password := info.Secret(); !password.IsEmpty() {
			r.passwords[name] = r.options.Secrets.Learn(password)
		}
		switch {
		case r.references[name] != "":
			line("    password: %s", yamlString(r.references[name]))
		case !r.passwords[name].IsEmpty():
			line("    password: file:%s.password", name)
		}
		if r.hasParticipant() && !slices.Contains(holdfast.Kinds(), holdfast.Kind(name)) {
			line("    before: [participant]")
		}
	}
	return nil
}

// hasParticipant reports whether there is a participant for an app's database to
// come before.
func (r *run) hasParticipant() bool {
	return r.Project != "" || slices.ContainsFunc(r.Databases, func(d string) bool {
		return strings.HasPrefix(d, "participant=")
	})
}

// draftRepository says where sets rest, and makes the password if there is none.
func (r *run) draftRepository(line func(string, ...any)) {
	line("")
	line("# Where sets rest, encrypted. Keep the password away from this machine as well.")
	line("repository:")
	line("  path: %s", yamlString(r.Repository))
	password := r.Password
	if password == "" {
		password = "file:" + repositoryPassword
		r.newPassword = newPassword()
	}
	line("  password: %s", yamlString(password))
	r.draftAccess(line)
	if r.Tools != "" {
		line("")
		line("# Postgres's client programs, of the server's version or later.")
		line("tools: %s", yamlString(r.Tools))
	}
}

// draftIdentities says how the identities are fetched, and makes the recovery
// key if there is nobody to seal them to.
func (r *run) draftIdentities(line func(string, ...any)) error {
	if r.Shares > 0 {
		key, err := identities.NewSharedKey(r.Threshold, r.Shares)
		if err != nil {
			return err
		}
		r.made.Shared, r.Recipients = key, []string{key.Recipient}
	}
	if len(r.Recipients) == 0 {
		key, recipient, err := identities.NewRecoveryKey()
		if err != nil {
			return err
		}
		r.made.Key, r.Recipients = key, []string{recipient}
	}
	line("")
	line("# The node's identities: its private keys. Fetched with every backup and sealed")
	line("# to the recipients, whose keys are not on this machine.")
	line("identities:")
	line("  url: %s", yamlString(r.URL))
	if r.Address != "" {
		line("  address: %s", yamlString(r.Address))
	}
	line("  auth:")
	for _, kv := range [][2]string{
		{"mode", r.Auth}, {"issuer", r.Issuer}, {"client_id", r.ClientID}, {"client_secret", r.ClientSecret},
		{"audience", r.Audience}, {"scope", r.Scope}, {"token", r.Token},
	} {
		if kv[1] != "" {
			line("    %s: %s", kv[0], yamlString(kv[1]))
		}
	}
	if len(r.Users) > 0 {
		line("    users: [%s]", yamlString(strings.Join(r.Users, ", ")))
	}
	line("  recipients:")
	for _, recipient := range r.Recipients {
		line("    - %s", yamlString(recipient))
	}
	if len(r.Keep) > 0 {
		line("  keep:")
		for _, dir := range r.Keep {
			line("    - %s", yamlString(dir))
		}
	}
	return nil
}

// yamlString quotes a value where YAML could take it for something else.
func yamlString(s string) string {
	const unquoted = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:+"
	plain := s != "" && strings.Trim(s, unquoted) == "" && !strings.HasSuffix(s, ":") && !strings.ContainsAny(s[:1], "-:+.0123456789") &&
		!slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "null", "y", "n"}, strings.ToLower(s))
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}
