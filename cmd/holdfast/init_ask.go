package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// ask asks for what the flags left open.
func (a *app) ask(s *draft) error {
	terminal := false
	if file, ok := a.in.(*os.File); ok {
		terminal = term.IsTerminal(int(file.Fd()))
	}
	in := bufio.NewReader(a.in)
	question := func(value *string, flag, text, fallback string) error {
		if *value != "" {
			return nil
		}
		if s.noInput || !terminal {
			return usageError(nil, fmt.Errorf("%s is missing: %s", flag, text))
		}
		_, _ = fmt.Fprintf(a.err, "%s", text)
		if fallback != "" {
			_, _ = fmt.Fprintf(a.err, " [%s]", fallback)
		}
		_, _ = fmt.Fprint(a.err, ": ")
		line, err := in.ReadString('\n')
		if *value = strings.TrimSpace(line); *value == "" && err == nil {
			*value = fallback
		}
		if *value == "" {
			return usageError(nil, fmt.Errorf("%s is missing: %s", flag, text))
		}
		return nil
	}
	if err := question(&s.node, "--node", "Name of the node", "my-validator"); err != nil {
		return err
	}
	if len(s.databases) == 0 && s.project == "" {
		for _, name := range []string{"validator", "participant"} {
			var dsn string
			if err := question(&dsn, "--database "+name+"=...", "Connection string of the "+name+"'s database", ""); err != nil {
				return err
			}
			s.databases = append(s.databases, name+"="+dsn)
		}
	}
	if err := question(&s.repository, "--repository", "Directory for the repository", ""); err != nil {
		return err
	}
	if err := question(&s.url, "--identities-url", "Address of the validator app (- for none)", "-"); err != nil {
		return err
	}
	if s.url == "-" {
		return nil
	}
	if err := question(&s.mode, "--auth", "How to get a token for it: oidc, unsafe or token", "oidc"); err != nil {
		return err
	}
	questions, known := map[string][]struct {
		value      *string
		flag, text string
	}{
		"oidc": {{&s.issuer, "--issuer", "Issuer, or URL of its discovery document"}, {&s.clientID, "--client-id", "Client id of the validator app"},
			{&s.secret, "--client-secret", "Where the client secret is (file:PATH, env:NAME, exec:COMMAND)"}, {&s.audience, "--audience", "Audience of the validator app"}},
		"unsafe": {{&s.audience, "--audience", "Audience of the validator app"}},
		"token":  {{&s.token, "--token", "Where the token is (file:PATH, env:NAME, exec:COMMAND)"}},
	}[s.mode]
	if !known {
		return usageError(nil, errors.New("--auth: want one of oidc, unsafe, token"))
	}
	for _, q := range questions {
		if err := question(q.value, q.flag, q.text, ""); err != nil {
			return err
		}
	}
	return nil
}
