// Package export takes a set out of its repository, for a restore without
// Holdfast: as plain files with a script that needs psql and pg_restore only,
// or one component as a stream of SQL for psql.
//
// What leaves the repository this way is not encrypted, and a participant's
// database holds private keys. Files are created for their owner alone; where
// they go from there is the operator's to decide.
//
// # What an exported directory holds
//
//	set.json, README.md            as they are in the set
//	<component>/schema.dump, globals.sql, data/...
//	identities/...                 sealed, as they are in the set
//	restore.sh                     restores one component into an empty database
//	<component>/restore/           the SQL that restore.sh hands to psql
//	<component>/restore/sha256     of every file of the component
//	_problems.txt                  what speaks against the set, if anything does
//
// # What comes last
//
// CHECKs that may look into other tables are put in place and validated when all
// rows are there, and event triggers are made behind everything else, as by
// `holdfast restore`.
//
// # What makes an export whole
//
// Files writes into "<dir>.partial" and renames it when every byte is on the
// disk, so a directory of the requested name is complete. SQL wraps everything
// into one transaction whose COMMIT is the last statement, and ends with a
// comment that says so: a stream cut short changes nothing.
package export
