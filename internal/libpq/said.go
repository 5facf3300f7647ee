package libpq

import (
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// said is all that the server said of an error, and none of the rows: detail
// and context of a value that does not fit quote it, and a participant's rows
// hold private keys. The names of what was violated are fields of their own,
// the same in every language.
func said(e *pgconn.PgError) string {
	var b strings.Builder
	b.WriteString(e.Message)
	add := func(what, text string) {
		if text = strings.Join(strings.Fields(text), " "); text != "" {
			b.WriteString("; " + what + text)
		}
	}
	if quotesRows(e.Code) {
		add("table ", strings.Trim(e.SchemaName+"."+e.TableName, "."))
		add("column ", e.ColumnName)
		add("constraint ", e.ConstraintName)
	} else {
		add("detail: ", e.Detail)
	}
	add("hint: ", e.Hint)
	add("context: ", withoutValues(e.Where))
	return b.String()
}

// quotesRows reports whether the detail of such errors quotes values: data
// exceptions and violated constraints.
func quotesRows(code string) bool {
	return strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23")
}

// A line of context about COPY ends with the line or the value that was read.
var copyLine = regexp.MustCompile(`(COPY [^,]+, [^,:]+ \d+)[,:].*`)

func withoutValues(context string) string {
	lines := strings.Split(context, "\n")
	for i, line := range lines {
		lines[i] = copyLine.ReplaceAllString(line, "$1")
	}
	return strings.Join(lines, " ")
}
