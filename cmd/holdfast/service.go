package main

import (
	"os"

	"github.com/spf13/cobra"

	"holdfast/config"
	"holdfast/setup"
)

func newService(a *app) *cobra.Command {
	c := &cobra.Command{Use: "service", Short: "Have systemd keep Holdfast running", Args: subcommand, RunE: help}
	var o setup.UnitOptions
	var dry, later bool
	install := &cobra.Command{
		Use:   "install [FILE]...",
		Short: "Install holdfast run as a service of systemd, and start it",
		Long: `Write the unit holdfast.service, enable it and start it. The unit runs
"holdfast run" with the configuration, or with those that are named, as the owner
of the first of them. It may write to its state, to the repository and to the
copies on this machine, and to nothing else. systemd restarts it when it ends or
does not say for five minutes that it is alive.

Run it again after the configuration names other directories. "systemctl reload
holdfast" is enough for everything else.`,
		Example: `  # look at it first
  holdfast service install --dry-run

  # install and start it
  sudo holdfast service install --config /etc/holdfast/holdfast.yaml

  # several nodes
  sudo holdfast service install /etc/holdfast/nodes`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if o.Files = files; len(files) == 0 {
				o.Files = []string{a.configPath}
			}
			unit, err := setup.Unit(o, func(path string) (*config.Config, error) { return config.Load(path, os.Environ()) })
			if err != nil {
				return err
			}
			if dry {
				a.printf("%s", unit.Text)
				return nil
			}
			if err := unit.Install(cmd.Context(), !later); err != nil {
				return err
			}
			a.printf("Wrote %s.\n", unit.Path)
			if !later {
				a.printf("The service runs. Its log: journalctl -u holdfast -f\n")
			}
			return nil
		},
	}
	install.Flags().BoolVar(&dry, "dry-run", false, "print the unit and write nothing")
	install.Flags().BoolVar(&later, "no-start", false, "write the unit, and neither enable nor start it")
	install.Flags().StringVar(&o.User, "user", "", "run as `USER`, not as the owner of the configuration")
	install.Flags().StringVar(&o.Directory, "unit-dir", "", "write the unit into `DIR`, not into /etc/systemd/system")
	c.AddCommand(install)
	return c
}
