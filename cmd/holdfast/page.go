package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"holdfast/web"
)

func newPage(a *app) *cobra.Command {
	c := &cobra.Command{Use: "page", Short: "Set up the page of holdfast run", Args: subcommand, RunE: help}
	c.AddCommand(&cobra.Command{
		Use:   "password",
		Short: "Make the hash of a password for the page",
		Long: `Read a password and print its hash, argon2id. Put the hash into a file that only
Holdfast reads, and name the file in "page.users".`,
		Example: `  # typed on a terminal, without being shown
  holdfast page password > ada.hash

  # from a file, for a script
  holdfast page password < ada.password > ada.hash`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			password, err := a.readPassword()
			if err != nil {
				return err
			}
			hash, err := web.HashPassword(password)
			if err == nil {
				a.printf("%s\n", hash)
			}
			return err
		},
	})
	return c
}

// shortestPassword is the fewest characters of a password for the page.
const shortestPassword = 12

// terminal is where somebody types; false where the input comes from elsewhere.
func (a *app) terminal() (fd int, ok bool) {
	file, ok := a.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return 0, false
	}
	return int(file.Fd()), true
}

// hidden reads one line that is typed, without showing it.
func (a *app) hidden(screen int, prompt string) ([]byte, error) {
	_, _ = fmt.Fprint(a.err, prompt)
	typed, err := term.ReadPassword(screen)
	_, _ = fmt.Fprintln(a.err)
	return typed, err
}

// readPassword reads a password, from a terminal without showing it.
func (a *app) readPassword() (password string, err error) {
	if screen, ok := a.terminal(); ok {
		var typed []byte
		typed, err = a.hidden(screen, "Password: ")
		password = string(typed)
	} else {
		password, err = bufio.NewReader(a.in).ReadString('\n')
		if password != "" {
			err = nil // a last line may have no end
		}
	}
	password = strings.TrimRight(password, "\r\n")
	if err == nil && len([]rune(password)) < shortestPassword {
		err = usageError(nil, fmt.Errorf("a password has %d characters at least", shortestPassword))
	}
	return password, err
}
