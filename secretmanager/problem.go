package secretmanager

import (
	"context"
	"errors"
	"fmt"

	"holdfast"
)

const retry = " To try again: `holdfast config check --live`."

// unreachable says that a manager does not answer.
func unreachable(what string, err error) error {
	if already := new(holdfast.Problem); errors.As(err, &already) || errors.Is(err, context.Canceled) {
		return err
	}
	return &holdfast.Problem{
		Class: holdfast.Unreachable,
		What:  what + ": the server does not answer",
		Why:   "Until it does, its secrets can be neither read nor written.",
		Do:    "Check the server, the network and the address." + retry,
		Err:   err,
	}
}

// notAccepted says that a manager does not accept the credentials.
func notAccepted(what, message, do string) error {
	return &holdfast.Problem{
		Class: holdfast.WrongKey,
		What:  what + ": it does not accept the credentials" + said(message),
		Why:   "They have expired, were revoked, or are for another server.",
		Do:    do + retry,
	}
}

// notAllowed says that the credentials lack a right, and which line gives it.
func notAllowed(what, message, line string) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  what + ": permission denied" + said(message),
		Why:   "The credentials are accepted, and may not do this.",
		Do:    "Grant it with this line: " + line + " ." + retry,
	}
}

// refused says that a manager refuses for another reason.
func refused(what string, status int, message string) error {
	return &holdfast.Problem{
		Class: holdfast.Failed,
		What:  fmt.Sprintf("%s: status %d%s", what, status, said(message)),
		Do:    "Check the server's own log, and the name." + retry,
	}
}

// none says that there is no secret to read.
func none(what string) error {
	return &holdfast.Problem{
		Class: holdfast.Usage,
		What:  what,
		Err:   ErrNone,
		Do:    "Correct the name, or write the secret first." + retry,
	}
}

// isNone reports whether there is no such secret.
func isNone(err error) bool { return errors.Is(err, ErrNone) }

// tooLarge says that a value does not fit into a manager.
func tooLarge(what string, size, limit int) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  fmt.Sprintf("%s: %d bytes are too large, it takes %d", what, size, limit),
		Why:   "Nothing was written. What is there already stays.",
		Do:    "Keep the identities in another place: identities.keep in holdfast.yaml takes a directory.",
	}
}

// said is what a server said, short.
func said(message string) string {
	const enough = 200
	if message == "" {
		return ""
	}
	if len(message) > enough {
		message = message[:enough] + "..."
	}
	return " (" + message + ")"
}
