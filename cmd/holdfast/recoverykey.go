package main

import (
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"holdfast"
	"holdfast/identities"
)

// sharedKey is what is printed of a new recovery key: nothing of it is secret.
type sharedKey struct {
	Recipient string   `json:"recipient"`
	Threshold int      `json:"threshold"`
	Total     int      `json:"total"`
	Files     []string `json:"files"` // the shares, in order
}

func newIdentitiesNewKey(a *app) *cobra.Command {
	var threshold, total int
	var dir string
	c := &cobra.Command{
		Use:   "new-recovery-key --shares N --threshold K",
		Short: "Make a recovery key that several people open together",
		Long: `Make a recovery key, split it into N shares, and forget it: any K of them open
what is sealed to it, and fewer open nothing. Only its public part goes into the
configuration, under identities.recipients.

Each share goes into a file of its own. Without --directory the shares are shown
once and stored nowhere.`,
		Example: `  # five people, any three of them open
  holdfast identities new-recovery-key --shares 5 --threshold 3 --directory /media/usb/shares

  # for paper: shown once, stored nowhere
  holdfast identities new-recovery-key --shares 3 --threshold 2

  # what three of the five type together
  holdfast identities test-recovery-key -k share-1-of-5.txt -k share-2-of-5.txt -k share-5-of-5.txt`,
		Args: exactly(0, "no arguments"),
		RunE: func(*cobra.Command, []string) error {
			if dir == "" && a.output == "json" {
				return usageError(nil, errors.New("--directory is missing: JSON output does not show the shares that are made"))
			}
			key, err := identities.NewSharedKey(threshold, total)
			if err != nil {
				return err
			}
			out := sharedKey{Recipient: key.Recipient, Threshold: threshold, Total: total, Files: []string{}}
			if dir != "" {
				if out.Files, err = key.Write(dir); err != nil {
					return err
				}
			}
			return a.result("recovery-key", out, func() { a.printSharedKey(out, key.Shares) })
		},
	}
	c.Flags().IntVar(&total, "shares", 0, "how many shares to make")
	c.Flags().IntVar(&threshold, "threshold", 0, "how many of them open what is sealed")
	c.Flags().StringVar(&dir, "directory", "", "write the shares into files there instead of showing them; none may exist")
	return c
}

func (a *app) printSharedKey(k sharedKey, texts []holdfast.Secret) {
	a.printShares(k.Files, texts)
	a.printf("Any %d of the %d open what is sealed to this key. In holdfast.yaml:\n\n"+
		"identities:\n  recipients:\n    - %s\n\nThe next backup seals to it. Then test it: "+
		"holdfast identities test-recovery-key -k SHARE -k SHARE\n", k.Threshold, k.Total, k.Recipient)
}

// printShares says where the shares are, or shows them where they are in no files.
func (a *app) printShares(files []string, texts []holdfast.Secret) {
	if len(files) > 0 {
		a.printf("The shares are in\n  %s\nMove each to another person: together here they protect nothing.\n\n",
			strings.Join(files, "\n  "))
		return
	}
	a.printf("The shares are shown this once and stored nowhere. Write each down for another person:\n\n")
	for _, text := range texts {
		a.printf("%s\n", text.Reveal())
	}
}

// keyFilesFlag is how a command is given what opens the identities.
func keyFilesFlag(c *cobra.Command, files *[]string) {
	c.Flags().StringArrayVarP(files, "key-file", "k", nil,
		"file with the recovery key, a share of one or an SSH private key; repeatable; - for standard input, "+
			"at a terminal one line that is typed and not shown")
}

// readKeys reads the recovery key, whole or in shares, or an SSH private key.
func (a *app) readKeys(files []string) ([]age.Identity, error) {
	if len(files) == 0 {
		return nil, usageError(nil, errors.New("--key-file: name the file with the recovery key, which opens the identities"))
	}
	var ring identities.Keyring
	for _, file := range files {
		text, err := a.readKey(strings.TrimPrefix(file, "file:"))
		if err != nil {
			return nil, err
		}
		if err := ring.Add(a.known.Learn(holdfast.NewSecret(string(text)))); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return ring.Keys()
}

// readKey reads a key or a share from a file. At a terminal it is one line that is
// typed, and not shown: each person types their own.
func (a *app) readKey(file string) ([]byte, error) {
	if screen, ok := a.terminal(); ok && file == "-" {
		return a.hidden(screen, "Recovery key, or one share of it (it is not shown): ")
	}
	return a.readFile(file)
}
