package compose

import (
	"cmp"
	"errors"

	"holdfast"
	"holdfast/canton/storage"
	"holdfast/internal/hocon"
)

// configuration is what the variables of a program add to its image's, with the
// files that they include.
func (c Container) configuration(file func(name string) (string, bool, error)) (*hocon.Config, error) {
	return storage.Configuration(c.Env, file)
}

// ParticipantDatabase is the database of the participant: of its environment,
// unless its configuration says otherwise.
func (b Bundle) ParticipantDatabase() storage.Database {
	d, _ := b.participantDatabase()
	return d
}

func (b Bundle) participantDatabase() (storage.Database, error) {
	if b.Participant == nil {
		return storage.Database{}, nil
	}
	e, prefix := b.Participant.Env, "CANTON_PARTICIPANT_POSTGRES_"
	given := storage.Database{
		Server:   e.Get(prefix + "SERVER"),
		Port:     e.Get(prefix + "PORT"),
		Name:     e.Get(prefix + "DB"),
		Schema:   e.Get(prefix + "SCHEMA"),
		User:     e.Get(prefix + "USER"),
		Password: e.Secret(prefix + "PASSWORD"),
	}
	return b.Participant.database("participants", given)
}

// ValidatorDatabase is the database of the validator app's configuration.
func (b Bundle) ValidatorDatabase() storage.Database {
	d, _ := b.validatorDatabase()
	return d
}

func (b Bundle) validatorDatabase() (storage.Database, error) {
	if b.Validator == nil {
		return storage.Database{}, nil
	}
	return b.Validator.database("validator-apps", storage.Database{})
}

// database is where the program of a container keeps its state: as its
// configuration says, and as it was given where that does not.
func (c Container) database(kind string, given storage.Database) (storage.Database, error) {
	config, err := c.configuration(c.includedFile)
	if err != nil {
		return storage.Database{}, c.unreadable(err)
	}
	d, err := storage.Of(config, kind)
	if err != nil {
		return storage.Database{}, c.unreadable(err)
	}
	d = d.Or(given)
	d.Port = cmp.Or(d.Port, storage.Port)
	if d.Name == "" || d.Server == "" {
		return d, c.unreadable(errors.New("it names no database (databaseName, serverName)"))
	}
	return d, nil
}

// unreadable refuses a configuration that does not say where the data is.
func (c Container) unreadable(err error) error {
	return &holdfast.Problem{
		Class: holdfast.Refused,
		What:  "the configuration of container " + c.Name + " does not say which database it uses",
		Err:   err,
		Why:   "Another database than the node's would be backed up, or replaced.",
		Do: "Write the value out in the container's variables " + storage.Variables + "*, or in a file of the container " +
			"that they include by its path, start the bundle again (start.sh), and look at the result: `holdfast node show`.",
	}
}
