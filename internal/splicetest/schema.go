package splicetest

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"time"
)

var (
	//go:embed sql/participant.sql
	participantSQL string
	//go:embed sql/participant_debug.sql
	participantDebugSQL string
	//go:embed sql/participant_seed.sql
	participantSeedSQL string
	//go:embed sql/validator.sql
	validatorSQL string
	//go:embed sql/validator_seed.sql
	validatorSeedSQL string
	//go:embed sql/app.sql
	appSQL string
)

// ParticipantSchema makes the schemas of a participant in the database of the
// connection string; they hold no rows but their own history.
func ParticipantSchema(ctx context.Context, dsn string) error {
	return execute(ctx, dsn, participantSQL+"\n;\n"+participantDebugSQL)
}

// ValidatorSchema makes the schemas of a validator app.
func ValidatorSchema(ctx context.Context, dsn string) error { return execute(ctx, dsn, validatorSQL) }

// AppSchema makes the schemas of an application's backend, with its rows.
func AppSchema(ctx context.Context, dsn string) error { return execute(ctx, dsn, appSQL) }

// fill replaces placeholders: the words that follow their names.
func fill(sql string, words ...string) string {
	for i := 0; i < len(words); i += 2 {
		words[i] = "@" + words[i] + "@"
	}
	return dated(strings.NewReplacer(words...).Replace(sql))
}

// written is the time of offset 0 as the SQL of this package has it, in
// hundreds of seconds; epoch is the one in force: three days ago, so that a
// node's record times are of these days whatever its size.
const written = "17600000"

var epoch = strconv.FormatInt(time.Now().Add(-3*24*time.Hour).Unix()/100, 10)

// dated puts the epoch into a statement.
func dated(sql string) string { return strings.ReplaceAll(sql, written, epoch) }
