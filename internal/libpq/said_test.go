package libpq

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast"
)

// Detail, hint and context are kept; rows and values are not.
func TestWhatAServerSaidWithoutItsRows(t *testing.T) {
	for _, c := range []struct {
		name string
		err  pgconn.PgError
		want string
	}{
		{"all of it", pgconn.PgError{Code: "55006", Message: "database is in use", Detail: "There is 1 other session.", Hint: "Close it."},
			"database is in use; detail: There is 1 other session.; hint: Close it."},
		{"a row", pgconn.PgError{Code: "23514", Message: "violates check", Detail: "Failing row contains (1, \\xsecret).", SchemaName: "p", TableName: "t", ConstraintName: "c"},
			"violates check; table p.t; constraint c"},
		{"a line of COPY", pgconn.PgError{Code: "22P02", Message: "invalid input", Where: "COPY t, line 7, column c: \"secret\""},
			"invalid input; context: COPY t, line 7"},
		{"the same in German", pgconn.PgError{Code: "22P02", Message: "ungültig", Where: "COPY t, Zeile 7, Spalte c: »secret«"},
			"ungültig; context: COPY t, Zeile 7"},
		{"a line without a column", pgconn.PgError{Code: "22P04", Message: "extra data", Where: "COPY t, line 7: \"secret\""},
			"extra data; context: COPY t, line 7"},
	} {
		if got := said(&c.err); got != c.want {
			t.Errorf("%s:\n%s\n%s", c.name, got, c.want)
		}
	}
}

// A server that ends a session while it is being made is no wrong host or port.
func TestAServerThatStopsIsToBeTriedAgain(t *testing.T) {
	for _, code := range []string{"57P01", "57P02", "57P03"} {
		err := Address{}.explain(&pgconn.PgError{Code: code, Message: "terminating connection"})
		if _, do := holdfast.Advice(err); !strings.Contains(do, "try again") ||
			holdfast.ClassOf(err) != holdfast.Unreachable {
			t.Errorf("%s: %v, next: %s", code, err, do)
		}
	}
}
