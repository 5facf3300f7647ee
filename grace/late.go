package grace

import (
	"context"
	"fmt"
	"time"
)

// Late is why a request was given up: nobody has answered it for so long.
type Late struct{ After time.Duration }

func (l Late) Error() string { return fmt.Sprintf("no answer within %v", l.After) }

// Timeout says what net.Error says of a deadline.
func (Late) Timeout() bool { return true }

// Temporary implements net.Error.
func (Late) Temporary() bool { return true }

// Within returns a context for one request: it ends after so long, with Late as
// its cause.
func Within(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, most, Late{most})
}
