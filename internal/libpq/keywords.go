package libpq

import (
	"fmt"
	"slices"
	"strings"

	"holdfast"
)

// use says what becomes of a keyword of libpq.
type use int

const (
	known   use = iota // the library that connects knows it
	ours               // this package sees to it
	dropped            // it makes no difference to a connection of ours
	refused            // it cannot be honoured, and must not be ignored
)

// keyword is one word of a connection string.
type keyword struct {
	use use
	// only are the values that are taken, of a word that is refused otherwise.
	only []string
	why  string // it is refused, and what to do
	env  string // the environment variable that stands for it
}

// keywords are the words that libpq knows (PostgreSQL 18, libpq: Database
// Connection Control Functions, and Environment Variables).
var keywords = map[string]keyword{
	"host":                      {env: "PGHOST"},
	"hostaddr":                  {use: ours, env: "PGHOSTADDR"},
	"port":                      {env: "PGPORT"},
	"dbname":                    {env: "PGDATABASE"},
	"user":                      {env: "PGUSER"},
	"password":                  {env: "PGPASSWORD"},
	"passfile":                  {env: "PGPASSFILE"},
	"service":                   {env: "PGSERVICE"},
	"servicefile":               {env: "PGSERVICEFILE"},
	"options":                   {env: "PGOPTIONS"},
	"connect_timeout":           {env: "PGCONNECT_TIMEOUT"},
	"sslmode":                   {env: "PGSSLMODE"},
	"sslnegotiation":            {env: "PGSSLNEGOTIATION"},
	"sslcert":                   {env: "PGSSLCERT"},
	"sslkey":                    {env: "PGSSLKEY"},
	"sslcertmode":               {env: "PGSSLCERTMODE"},
	"sslrootcert":               {env: "PGSSLROOTCERT"},
	"sslsni":                    {env: "PGSSLSNI"},
	"channel_binding":           {env: "PGCHANNELBINDING"},
	"require_auth":              {env: "PGREQUIREAUTH"},
	"target_session_attrs":      {env: "PGTARGETSESSIONATTRS"},
	"min_protocol_version":      {env: "PGMINPROTOCOLVERSION"},
	"max_protocol_version":      {env: "PGMAXPROTOCOLVERSION"},
	"krbsrvname":                {env: "PGKRBSRVNAME"},
	"keepalives":                {use: ours},
	"keepalives_idle":           {use: ours},
	"keepalives_interval":       {use: ours},
	"keepalives_count":          {use: ours},
	"tcp_user_timeout":          {use: ours},
	"ssl_min_protocol_version":  {use: ours, env: "PGSSLMINPROTOCOLVERSION"},
	"ssl_max_protocol_version":  {use: ours, env: "PGSSLMAXPROTOCOLVERSION"},
	"application_name":          {use: dropped, env: "PGAPPNAME"},
	"fallback_application_name": {use: dropped},
	"client_encoding":           {use: dropped, env: "PGCLIENTENCODING"},
	"sslcompression":            {use: dropped, env: "PGSSLCOMPRESSION"},
	"gssencmode": {use: dropped, only: []string{"disable", "prefer"}, env: "PGGSSENCMODE",
		why: "Holdfast does not encrypt with GSSAPI: use TLS, sslmode=verify-full"},
	"gssdelegation": {use: dropped, only: []string{"0"}, env: "PGGSSDELEGATION",
		why: "Holdfast delegates no GSSAPI credentials: leave it out"},
	"load_balance_hosts": {use: dropped, only: []string{"disable"}, env: "PGLOADBALANCEHOSTS",
		why: "the sessions of one backup share a snapshot, so all of them go to one server: leave it out"},
	"gsslib": {use: refused, env: "PGGSSLIB",
		why: "Holdfast does not authenticate with GSSAPI: use a password or a client certificate"},
	"sslcrl": {use: refused, env: "PGSSLCRL",
		why: "Holdfast reads no revocation lists: leave it out, or pin the certificate with sslrootcert"},
	"sslcrldir": {use: refused, env: "PGSSLCRLDIR",
		why: "Holdfast reads no revocation lists: leave it out, or pin the certificate with sslrootcert"},
	"sslpassword": {use: refused,
		why: "a password in a connection string shows in the arguments of pg_dump: use a key file without one, mode 0600"},
	"requirepeer": {use: refused, env: "PGREQUIREPEER",
		why: "Holdfast does not ask who owns the socket: put the socket into a directory that only Postgres may write"},
	"replication": {use: refused,
		why: "a dump reads through an ordinary connection: leave it out"},
	"sslkeylogfile":       {use: refused, why: "it would write the keys of the connection to a file: leave it out"},
	"scram_client_key":    {use: refused, why: "it is a secret: name a password file instead, `password: file:PATH`"},
	"scram_server_key":    {use: refused, why: "it is a secret: name a password file instead, `password: file:PATH`"},
	"oauth_issuer":        {use: refused, why: oauth},
	"oauth_client_id":     {use: refused, why: oauth},
	"oauth_client_secret": {use: refused, why: oauth},
	"oauth_scope":         {use: refused, why: oauth},
	"authtype":            {use: dropped},
	"tty":                 {use: dropped},
}

const oauth = "Holdfast does not authenticate with OAuth: use a password or a client certificate"

// foreign are words of other libraries, and what libpq calls them; "" where
// there is no need for them.
var foreign = map[string]struct{ whose, instead string }{
	"currentschema":                 {"JDBC", "leave it out: every schema is backed up"},
	"preparethreshold":              {"JDBC", "leave it out: Holdfast prepares no statements"},
	"preparedstatementcachequeries": {"JDBC", "leave it out"},
	"sslfactory":                    {"JDBC", "sslmode and sslrootcert"},
	"ssl":                           {"JDBC", "sslmode=require or sslmode=verify-full"},
	"sslrootcertificate":            {"JDBC", "sslrootcert"},
	"applicationname":               {"JDBC", "application_name"},
	"logintimeout":                  {"JDBC", "connect_timeout"},
	"connecttimeout":                {"JDBC", "connect_timeout"},
	"sockettimeout":                 {"JDBC", "tcp_user_timeout"},
	"tcpkeepalive":                  {"JDBC", "keepalives=1"},
	"targetservertype":              {"JDBC", "target_session_attrs"},
	"loadbalancehosts":              {"JDBC", "leave it out"},
	"rewritebatchedinserts":         {"JDBC", "leave it out"},
	"stringtype":                    {"JDBC", "leave it out"},
	"binarytransfer":                {"JDBC", "leave it out"},
	"defaultrowfetchsize":           {"JDBC", "leave it out"},
	"readonly":                      {"JDBC", "leave it out"},
	"schema":                        {"Prisma", "leave it out: every schema is backed up"},
	"pgbouncer":                     {"Prisma", "leave it out, and name the server itself and not its pooler"},
	"connection_limit":              {"Prisma", "leave it out: `dump.connections` limits a backup's"},
	"pool_timeout":                  {"Prisma", "leave it out"},
	"statement_cache_size":          {"Prisma", "leave it out"},
	"sslaccept":                     {"Prisma", "sslmode"},
	"sslidentity":                   {"Prisma", "sslcert and sslkey"},
	"uselibpqcompat":                {"node-postgres", "leave it out"},
	"pool_max_conns":                {"pgx", "leave it out"},
	"pool_min_conns":                {"pgx", "leave it out"},
	"default_query_exec_mode":       {"pgx", "leave it out"},
	"user_name":                     {"SQLAlchemy", "user"},
	"search_path":                   {"the server", "leave it out: every schema is backed up"},
	"statement_timeout":             {"the server", "options='-c statement_timeout=...'"},
	"lock_timeout":                  {"the server", "options='-c lock_timeout=...'"},
	"timezone":                      {"the server", "leave it out: values are read in UTC"},
}

// misnamed are values that other libraries give to words of libpq.
var misnamed = map[string]map[string]string{
	"sslmode": {
		"no-verify": "node-postgres; libpq's is sslmode=require", "verifyfull": "JDBC; libpq's is sslmode=verify-full",
		"verify_full": "libpq's is sslmode=verify-full", "true": "libpq's is sslmode=require", "required": "libpq's is sslmode=require",
	},
}

// checkWords makes sure that every word is one of libpq's that can be
// honoured. The words that make no difference stay for the client programs.
func checkWords(values map[string]string) error {
	for _, word := range sortedKeys(values) {
		if err := checkWord(word, values[word]); err != nil {
			return err
		}
	}
	return nil
}

func checkWord(word, value string) error {
	k, is := keywords[word]
	switch {
	case !is:
		return unknownWord(word)
	case k.use == refused || len(k.only) > 0 && !slices.Contains(k.only, value):
		return wrongWord(word+" cannot be used", k.why)
	}
	if whose, is := misnamed[word][strings.ToLower(value)]; is {
		return wrongWord(fmt.Sprintf("%s=%s is a value of another library", word, value), "it is of "+whose)
	}
	return nil
}

func unknownWord(word string) error {
	for libpq := range keywords {
		if strings.EqualFold(libpq, word) || strings.EqualFold(strings.ReplaceAll(libpq, "_", ""), word) {
			return wrongWord("Postgres does not know the parameter "+word, "libpq's is "+libpq)
		}
	}
	for name, f := range foreign {
		if strings.EqualFold(name, word) {
			return wrongWord(fmt.Sprintf("%s is a parameter of %s, not of libpq", word, f.whose), "instead: "+f.instead)
		}
	}
	return wrongWord("Postgres does not know the parameter "+word,
		"leave it out; a setting of the server is given as options='-c NAME=VALUE'")
}

func wrongWord(what, instead string) error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  "the connection string: " + what,
		Why:   "What is ignored here may be what keeps the connection safe.",
		Do:    strings.ToUpper(instead[:1]) + instead[1:] + ".",
	}
}
