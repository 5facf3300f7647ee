package firstrun

// ask asks for what is still missing.
func (r *run) ask() error {
	if err := r.value(&r.Node, "--node", "Name of the node", "my-validator"); err != nil {
		return err
	}
	if err := r.askDatabases(); err != nil {
		return err
	}
	if err := r.value(&r.Repository, "--repository", "Directory for the repository", ""); err != nil {
		return err
	}
	if err := r.value(&r.URL, "--identities-url", "Address of the validator app (- for none)", "-"); err != nil {
		return err
	}
	if r.URL == "-" {
		return nil
	}
	return r.askToken()
}

// value asks for one value, unless it is known.
func (r *run) value(value *string, flag, question, fallback string) (err error) {
	if *value == "" {
		*value, err = r.operator.Ask(flag, question, fallback)
	}
	return err
}

// askDatabases asks where the databases are, unless the node says that.
func (r *run) askDatabases() error {
	if len(r.Databases) > 0 || r.Project != "" {
		return nil
	}
	for _, name := range []string{"validator", "participant"} {
		flag, question := "--database "+name+"=...", "Connection string of the "+name+"'s database"
		dsn, err := r.operator.Ask(flag, question, "")
		if err != nil {
			return err
		}
		r.Databases = append(r.Databases, name+"="+dsn)
	}
	return nil
}

// question is one about the way to a token.
type question struct {
	value      *string
	flag, text string
}

// askToken asks how to get a token for the validator app.
func (r *run) askToken() error {
	const how = "How to get a token for it: oidc, unsafe or token"
	if err := r.value(&r.Auth, "--auth", how, "oidc"); err != nil {
		return err
	}
	questions, known := map[string][]question{
		"oidc": {
			{&r.Issuer, "--issuer", "Issuer, or URL of its discovery document"},
			{&r.ClientID, "--client-id", "Client id of the validator app"},
			{&r.ClientSecret, "--client-secret", "Where the client secret is (file:PATH, env:NAME, exec:COMMAND)"},
			{&r.Audience, "--audience", "Audience of the validator app"},
		},
		"unsafe": {{&r.Audience, "--audience", "Audience of the validator app"}},
		"token":  {{&r.Token, "--token", "Where the token is (file:PATH, env:NAME, exec:COMMAND)"}},
	}[r.Auth]
	if !known {
		return usage("--auth: want one of oidc, unsafe, token")
	}
	for _, q := range questions {
		if err := r.value(q.value, q.flag, q.text, ""); err != nil {
			return err
		}
	}
	return nil
}
