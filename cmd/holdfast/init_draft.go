package main

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
	"holdfast/identities"
	"holdfast/internal/libpq"
)

// text is the text of the configuration. It makes the keys that are missing.
func (s *draft) text() (string, error) {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Holdfast: what is backed up, and where to. Secrets are references: file:PATH,")
	line("# env:NAME or exec:COMMAND. `holdfast config show --origin` prints what is in force.")
	line("")
	line("# The node's name in the repository.")
	line("node: %s", yamlString(s.node))
	line("")
	if s.project != "" {
		line("# The node's containers tell where its databases are, and as whom to connect.")
		line("compose:")
		line("  project: %s", yamlString(s.project))
		if s.dockerHost != "" {
			line("  docker_host: %s", yamlString(s.dockerHost))
		}
		if s.bundle != "" {
			line("  directory: %s", yamlString(s.bundle))
		}
		line("")
	}
	if len(s.databases) > 0 || s.project == "" {
		if err := s.draftDatabases(line); err != nil {
			return "", err
		}
	}
	if s.url != "-" {
		if err := s.draftIdentities(line); err != nil {
			return "", err
		}
	}
	s.draftRepository(line)
	return b.String(), nil
}

// draftDatabases writes the databases that are given by connection strings.
func (s *draft) draftDatabases(line func(string, ...any)) error {
	line("# The validator app's database is captured before the participant's, always.")
	line("# Further databases, such as an app's backend, take before: and after: lists.")
	line("databases:")
	for _, text := range s.databases {
		name, dsn, found := strings.Cut(text, "=")
		if !found || strings.ContainsAny(name, ":/ ") {
			return usageError(nil, fmt.Errorf("--database: want COMPONENT=CONNECTION, such as participant=postgres://host/participant"))
		}
		info, err := libpq.Parse(dsn)
		if err != nil {
			return usageError(nil, fmt.Errorf("--database %s: %w", name, err))
		}
		line("  %s:", name)
		line("    connection: %s", yamlString(info.String()))
		if password := info.Secret(); !password.IsEmpty() {
			s.Passwords[name] = password
			line("    password: file:%s.password", name)
		}
		if !slices.Contains(holdfast.Kinds, holdfast.Kind(name)) && slices.ContainsFunc(s.databases, func(d string) bool { return strings.HasPrefix(d, "participant=") }) || s.project != "" && !slices.Contains(holdfast.Kinds, holdfast.Kind(name)) {
			line("    before: [participant]")
		}
	}
	return nil
}

// draftRepository says where sets rest, and makes the password if there is none.
func (s *draft) draftRepository(line func(string, ...any)) {
	line("")
	line("# Where sets rest, encrypted. Keep the password away from this machine as well.")
	line("repository:")
	line("  path: %s", yamlString(s.repository))
	password := s.password
	if password == "" {
		password = "file:" + repositoryPassword
		s.NewPassword = newPassword()
	}
	line("  password: %s", yamlString(password))
	if s.tools != "" {
		line("")
		line("# Postgres's client programs, of the server's version or later.")
		line("tools: %s", yamlString(s.tools))
	}
}

func (s *draft) draftIdentities(line func(string, ...any)) error {
	if len(s.recipients) == 0 {
		key, recipient, err := identities.NewRecoveryKey()
		if err != nil {
			return err
		}
		s.NewKey, s.recipients = key, []string{recipient}
	}
	line("")
	line("# The node's identities: its private keys. Fetched with every backup and sealed")
	line("# to the recipients, whose keys are not on this machine.")
	line("identities:")
	line("  url: %s", yamlString(s.url))
	if s.address != "" {
		line("  address: %s", yamlString(s.address))
	}
	line("  auth:")
	for _, kv := range [][2]string{{"mode", s.mode}, {"issuer", s.issuer}, {"client_id", s.clientID}, {"client_secret", s.secret}, {"audience", s.audience}, {"scope", s.scope}, {"token", s.token}} {
		if kv[1] != "" {
			line("    %s: %s", kv[0], yamlString(kv[1]))
		}
	}
	if len(s.users) > 0 {
		line("    users: [%s]", yamlString(strings.Join(s.users, ", ")))
	}
	line("  recipients:")
	for _, r := range s.recipients {
		line("    - %s", yamlString(r))
	}
	if len(s.keep) > 0 {
		line("  keep:")
		for _, dir := range s.keep {
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
