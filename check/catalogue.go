package check

// Code names a condition, in text, JSON, metrics and pages alike.
type Code string

// The conditions. The first twelve have the names that the literature on
// validator recovery uses.
const (
	IdentitiesBackedUp      Code = "identities_backed_up"
	PostgresCadence         Code = "postgres_cadence"
	SnapshotOrdering        Code = "snapshot_ordering"
	HistoricalSpacing       Code = "historical_spacing"
	LSURetention            Code = "lsu_retention"
	RestorePointRetained    Code = "restore_point_within_retained_history"
	OldSynchronizer         Code = "old_synchronizer_reachable"
	PruningConfigured       Code = "pruning_schedule_configured"
	RecoveryRoute           Code = "recovery_route_available"
	UsersSinceBackup        Code = "users_since_backup"
	PartiesNotMigrated      Code = "parties_not_migrated"
	Acknowledgement         Code = "acknowledgement_age_within_retention"
	RestoreProven           Code = "restore_proven"
	SchemaComesBack         Code = "schema_comes_back"
	IdentitiesMatchDatabase Code = "identities_match_database"
	RepositoryReadable      Code = "repository_readable"
	RecoveryKeyTested       Code = "recovery_key_tested"
	SecondCopy              Code = "second_copy"
	ClockSane               Code = "clock_sane"
	PostgresSupported       Code = "postgres_supported"
	SpaceForRestore         Code = "space_for_restore"
	RestoreComplete         Code = "restore_complete"
	UpgradePrepared         Code = "upgrade_prepared"
	DatabasesCovered        Code = "databases_covered"
	DataOutlivesStop        Code = "data_outlives_stop"
	OneProgramAlive         Code = "one_program_alive"
	LocksWithstandAttack    Code = "locks_withstand_attack"
	LocksExtended           Code = "locks_extended"
	ProviderKeepsSnapshots  Code = "provider_keeps_snapshots"
	RowsInRepository        Code = "rows_in_repository"
	TakenOverHolds          Code = "taken_over_holds"
)

// Entry describes one condition of the catalogue: what is checked, and what it means.
type Entry struct {
	Code        Code   `json:"code"`
	Title       string `json:"title"`       // true when the condition holds
	Observed    string `json:"observed"`    // what is looked at, and when the condition is violated
	Why         string `json:"why"`         // the rule behind it, with its source
	Consequence string `json:"consequence"` // of a violation
	Next        string `json:"next"`        // what to do about a violation
	DependsOn   []Code `json:"depends_on"`  // conditions whose failure can be the only cause of this one's

	judge func(*view) answer
}

// Catalogue lists the conditions in the order in which a person reads them: can
// the node be recovered, how fresh is the backup, how long is left, what would
// be missing.
func Catalogue() []Entry {
	var out []Entry
	for _, part := range [][]Entry{routes(), freshness(), network(), contents(), surroundings()} {
		out = append(out, part...)
	}
	for i := range out {
		out[i].DependsOn = append([]Code{}, out[i].DependsOn...) // an empty list in JSON, not null
	}
	return out
}

// Codes lists the codes of the catalogue.
func Codes() []Code {
	var out []Code
	for _, e := range Catalogue() {
		out = append(out, e.Code)
	}
	return out
}

func routes() []Entry {
	return []Entry{
		{
			Code:  RecoveryRoute,
			Title: "the node can be recovered today",
			Observed: "Route one: a proven set whose restore point the synchronizer still serves. " +
				"Route two: identities in a set that pass their checks and that a tested key opens. " +
				"Violated when both are closed.",
			Why: "A node is restored from its databases, or onboarded again from the identities dump. " +
				"With neither, everything it holds is lost [validator_disaster_recovery].",
			Consequence: "If the node fails now, its parties, coin and contracts are lost.",
			Next: "Take a backup now: `holdfast backup`. " +
				"Then fix the other conditions: each closes one of the two routes.",
			DependsOn: []Code{RepositoryReadable, RestorePointRetained, OldSynchronizer, RecoveryKeyTested},
			judge:     recoveryRoute,
		},
		{
			Code:  RestoreProven,
			Title: "a recent drill restored every row",
			Observed: "The newest conclusive drill in the repository. " +
				"Violated when it failed, when it is older than `check.drill_every` (31 days), or when there is none.",
			Why: "Only a restore shows that a set restores. " +
				"Postgres accepts broken and reversed sets without complaint.",
			Consequence: "The first restore is the real one.",
			Next: "Run `holdfast drill`. It restores the newest proven set into a sandbox, " +
				"compares every row and records the result.",
			DependsOn: []Code{RepositoryReadable},
			judge:     restoreProven,
		},
		{
			Code:  SchemaComesBack,
			Title: "the schemas of the newest set come back",
			Observed: "The rehearsals that the newest set records, and the drills of sets with the same schemas. " +
				"Violated when a restore would stop at an object.",
			Why: "pg_dump writes what Postgres does not take again: an extension whose files are gone, " +
				"a view that compares without an operator, an index whose function reads another table.",
			Consequence: "A restore stops at that object, and the set is not proven.",
			Next: "`holdfast show SET` lists the objects, their definitions and what to do about each. " +
				"Change them in the live database, then `holdfast backup`.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence},
			judge:     schemaComesBack,
		},
		{
			Code:  TakenOverHolds,
			Title: "rows that sets took over are what the database has",
			Observed: "Of what a backup takes over from the last set it reads a part again and compares. " +
				"Violated when that differed, until a later set has read everything: `holdfast backup --full`, " +
				"or the first set after a restart of the server.",
			Why: "Rows that no transaction has changed are not read again. " +
				"A damaged disk or memory, and files written by hand, change rows without a transaction.",
			Consequence: "Sets since the last reading may have rows that the database did not have, or not any more. " +
				"The live database may be damaged.",
			Next: "`holdfast list` names the sets in doubt. Look for errors of the server's disk and memory, " +
				"then `holdfast backup --full`, and drop the sets in doubt: `holdfast retention drop SET`.",
			DependsOn: []Code{RepositoryReadable},
			judge:     takenOverHolds,
		},
		{
			Code:  RepositoryReadable,
			Title: "the repository opens and its sets are readable",
			Observed: "The repository opens with its password, and every manifest of this node is readable. " +
				"Every file of the newest proven set exists, and its small files are readable. " +
				"Violated when one of these fails.",
			Why:         "A set that cannot be read cannot be restored. A broken disk is found only by reading it.",
			Consequence: "Nothing in this repository can be restored, or not everything it lists.",
			Next: "Check the disk or mount behind `repository.path`, and the password behind `repository.password`. " +
				"Then use the second copy.",
			judge: repositoryReadable,
		},
		{
			Code:  RecoveryKeyTested,
			Title: "a recovery key has opened the identities of the newest set",
			Observed: "`holdfast identities test-recovery-key`, and `open`, record in the repository that a key opened a set's identities. " +
				"Violated when none has opened the newest set's, or not within `check.key_test_every` (180 days).",
			Why: "The node cannot open what it sealed: only a key kept elsewhere can. " +
				"A lost key is noticed only when it is used.",
			Consequence: "The identities may be sealed to a key that nobody has. Then route two is closed.",
			Next: "Fetch the recovery key and test it: " +
				"`holdfast identities test-recovery-key --key-file KEY`.",
			DependsOn: []Code{RepositoryReadable, IdentitiesBackedUp},
			judge:     recoveryKeyTested,
		},
		{
			Code:  SecondCopy,
			Title: "a current second copy of the sets is on another disk",
			Observed: "The repositories at all places of `copies:`, and at `check.second_copy`, open. " +
				"The newest proven set of each is at most `check.copy_behind` (24 hours) older than the first copy's. " +
				"At least one is on another file system and, as far as this machine knows its disks, on another disk. " +
				"Violated when one of these fails. The worst copy is named first.",
			Why: "Backups belong outside the node and its cluster [validator_backups]: " +
				"the node's own disk fails with the node.",
			Consequence: "One fault destroys the node and its backups.",
			Next: "Name a place outside of this machine in `copies:`. Each backup then sends its set there. " +
				"To send it now: `holdfast repository copy`.",
			DependsOn: []Code{RepositoryReadable},
			judge:     secondCopy,
		},
		{
			Code:  LocksWithstandAttack,
			Title: "the locks of what is stored withstand an attacker on the node",
			Observed: "The repository's rule of object locks, whether its place keeps locks, " +
				"and what `holdfast repository check-immutability` recorded last. " +
				"Violated when the place keeps none, when an attack succeeded, when none was ever tried, " +
				"or not within `check.attack_every` (180 days). A repository without locks is not judged.",
			Why: "Whoever owns the node has its credentials. " +
				"Policies and settings of buckets change, and only trying shows what they permit.",
			Consequence: "An attacker on the node can delete every set, or nobody knows whether he can.",
			Next: "Try it: `holdfast repository check-immutability`. " +
				"Take from the node what it does not need: docs/policies/s3-node.json.",
			DependsOn: []Code{RepositoryReadable},
			judge:     locksWithstandAttack,
		},
		{
			Code:  LocksExtended,
			Title: "the locks of what sets hold do not run out",
			Observed: "When a full maintenance extended the locks last, and the locks of some blobs themselves. " +
				"Violated when one has less than a quarter of its period left, or none. " +
				"A repository without locks is not judged.",
			Why: "A lock ends by itself. Only maintenance extends it, once a day. " +
				"If maintenance stops, everything unlocks after the period.",
			Consequence: "Soon an attacker on the node can delete what sets hold.",
			Next: "Maintain the repository: `holdfast retention --maintenance full --yes`. " +
				"If locks are missing, lock everything: `holdfast repository lock MODE:PERIOD`.",
			DependsOn: []Code{RepositoryReadable, LocksWithstandAttack},
			judge:     locksExtended,
		},
		{
			Code:  ProviderKeepsSnapshots,
			Title: "the provider can take the next snapshots, and keeps those it has",
			Observed: "The snapshots that the account has and may still take, and the deletion protection of each instance. " +
				"Violated when one that a proven set refers to is gone, when fewer than 12 are left, two days at six " +
				"sets a day, or when the protection is off. " +
				"A node whose databases are dumped is not judged.",
			Why: "Anybody with the right can delete a snapshot. A full account refuses the next one. " +
				"One call deletes an instance that is not protected, and its automated backups with it.",
			Consequence: "Sets that are listed do not come back, or soon none is taken, " +
				"or one mistake deletes the live databases.",
			Next: "Drop sets whose snapshots are gone: `holdfast retention drop SET`. " +
				"Keep fewer in `retention:`, or have the quota raised. " +
				"Turn deletion protection on in the provider's console. Then `holdfast config check --live`.",
			judge: providerKeepsSnapshots,
		},
		{
			Code:  RowsInRepository,
			Title: "a provider's snapshots are not the only copy of the rows",
			Observed: "The newest proven set whose rows are in the repository itself, where later sets refer to snapshots. " +
				"Violated when it is older than `rds.dump_every` (7 days) and a day, or when there is none. " +
				"Where the newest set has its rows, nothing is judged.",
			Why: "A snapshot stays in the provider's account and cannot be read elsewhere. " +
				"A second copy of a set that refers to one has the reference alone.",
			Consequence: "Who closes or empties the account takes every set and every copy of it.",
			Next: "Read the rows into the repository: `holdfast backup --dump`. " +
				"`holdfast run` does it every `rds.dump_every`, a week.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence},
			judge:     rowsInRepository,
		},
	}
}

func freshness() []Entry {
	return []Entry{
		{
			Code:  PostgresCadence,
			Title: "the newest proven set is recent enough",
			Observed: "The age of the newest proven set, since its participant was captured. " +
				"Violated when it exceeds `check.cadence` (4 hours) plus a grace: " +
				"half an hour, or twice the time the last backup took. Also when there is no proven set.",
			Why: "Every database is backed up at least every four hours [validator_backups].",
			Consequence: "A restore loses later users, keys and configuration. " +
				"The rest is replayed while sequencers still have it.",
			Next: "`holdfast backup`; then find out why the scheduled backup did not run: " +
				"`journalctl -u holdfast --since -1d`, or the log of `holdfast run`.",
			DependsOn: []Code{RepositoryReadable, ClockSane},
			judge:     postgresCadence,
		},
		{
			Code:  SnapshotOrdering,
			Title: "the newest set is in proven order and of one node",
			Observed: "The order and membership of the newest set of any state, recomputed from its recorded facts. " +
				"Violated when the facts contradict them.",
			Why: "The validator app's backup is complete before the participant's starts [validator_backups]. " +
				"A reversed pair restores, starts without errors, and loses updates.",
			Consequence: "The newest set is not a backup.",
			Next: "`holdfast show SET` shows the evidence. " +
				"Look for a restore or failover of one database during the backup, or a lagging standby; then `holdfast backup`.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence},
			judge:     snapshotOrdering,
		},
		{
			Code:  HistoricalSpacing,
			Title: "the history has no gaps",
			Observed: "The distances between proven sets, and from the newest to now, " +
				"compared with the retention of the participant's pruning schedule. " +
				"Violated when a distance is longer, as far back as `retention.history` requires. " +
				"Not checked when `check.history` is `false`, or when retention rules do not mention history.",
			Why: "Historical backups are closer together than the participant's pruning retention. " +
				"Otherwise data is pruned before it is captured [validator_backups].",
			Consequence: "The transactions of the gap are in no set, and nothing else records them. " +
				"A restore of the newest set is not affected.",
			Next: "The gap is permanent. Take sets more often than the participant prunes, and let retention keep them. " +
				"If you do not need history: `check.history: false`.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:     historicalSpacing,
		},
		{
			Code:  UsersSinceBackup,
			Title: "every user is backed up, or due in the next backup",
			Observed: "Users of the live databases that are missing from the newest proven set. " +
				"Violated when one of them should be in it: the user is older than the set, or the set is overdue.",
			Why:         "Users onboarded after the backup must be onboarded again by hand [validator_disaster_recovery].",
			Consequence: "After a restore the node does not know these users.",
			Next:        "`holdfast backup`. After a restore, onboard them again: the report lists them.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       usersSinceBackup,
		},
	}
}

func network() []Entry {
	return []Entry{
		{
			Code:  RestorePointRetained,
			Title: "sequencers still keep everything since the newest restore point",
			Observed: "The record time that the newest proven set reaches, " +
				"compared with the declared retention of each super validator's sequencer. " +
				"Violated when it is older than one of them keeps.",
			Why: "A restored node replays from the sequencers. They keep about 30 days; " +
				"each super validator sets its own retention and none publishes it [validator_disaster_recovery, source].",
			Consequence: "A node restored from this set cannot catch up (EventsUnavailableForTimestamp). " +
				"Only route two is left.",
			Next: "`holdfast backup` while the node is up. Ask the super validators for their `retentionPeriod` " +
				"and declare it in `check.retention`, with the source.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence},
			judge:     restorePointRetained,
		},
		{
			Code:  Acknowledgement,
			Title: "no super validator is about to disable the node",
			Observed: "The newest sequenced event that the participant has processed and so acknowledges, " +
				"compared with the declared retention of each super validator. " +
				"Violated when less than `check.runway` (7 days) is left with one of them.",
			Why: "A sequencer that prunes disables every member whose last acknowledgement is older than its retention. " +
				"Nothing enables the member again [source].",
			Consequence: "MemberDisabled: the databases are intact, but this identity can never connect again. " +
				"Only route two is left.",
			Next: "Start the node now, or restore it elsewhere now: `holdfast restore latest`. " +
				"The runway shows the time left.",
			DependsOn: []Code{PostgresSupported, RestorePointRetained},
			judge:     acknowledgement,
		},
		{
			Code:  OldSynchronizer,
			Title: "the synchronizer of the newest set is still served",
			Observed: "The serial in the newest proven set, compared with the serial in use: " +
				"two Scans agree on it, or the node itself follows it. " +
				"If the set's serial is older: whether Scans still publish its sequencers, and whether these answer. " +
				"Violated when they do not publish them.",
			Why: "After a logical synchronizer upgrade, an older set is restored against the old synchronizer first. " +
				"Super validators keep it for about 30 days [sv_logical_synchronizer_upgrade].",
			Consequence: "A node restored from this set has nothing to connect to and cannot cross over.",
			Next: "`holdfast backup` on the upgraded node. If the node missed the upgrade, " +
				"start it while the old sequencers run, with Splice 0.6.5 or later.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:     oldSynchronizer,
		},
		{
			Code:  LSURetention,
			Title: "a set from before the last synchronizer upgrade is kept while it is useful",
			Observed: "The serials in the proven sets, compared with the serial in use. " +
				"Violated when every set is newer than an upgrade whose old synchronizer the Scans still publish.",
			Why: "Old backups are kept across upgrades. If the new synchronizer fails early, " +
				"the node goes back to the old one [sv_logical_synchronizer_upgrade].",
			Consequence: "The node cannot go back to before the upgrade.",
			Next: "This cannot be repaired. It ends when the old synchronizer is switched off. " +
				"Before the next upgrade, pin the last set: `holdfast retention pin SET`.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence, PostgresSupported, OldSynchronizer},
			judge:     lsuRetention,
		},
		{
			Code:  UpgradePrepared,
			Title: "the node is prepared for every announced synchronizer upgrade",
			Observed: "The upgrade that two Scans agree on. If one is announced: " +
				"the validator app runs Splice 0.6.5 or later, the participant received events within the last hour, " +
				"and the newest proven set is recent enough and of the serial that ends. " +
				"Violated when one of these fails.",
			Why: "A node that lags or runs an older release does not cross over by itself. " +
				"A set from before the upgrade can be restored for about 30 days [sv_logical_synchronizer_upgrade].",
			Consequence: "The upgrade may leave the node behind, or the node may have no set from before it.",
			Next: "Before the upgrade: run Splice 0.6.5 or later, let the node catch up, then `holdfast backup`. " +
				"Keep the last set before it: `holdfast retention pin SET`.",
			DependsOn: []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:     upgradePrepared,
		},
	}
}

func contents() []Entry {
	return []Entry{
		{
			Code:  IdentitiesBackedUp,
			Title: "the current identities are in a set",
			Observed: "The running node's identities, compared with those of the newest set that has any: " +
				"id, keys and topology. " +
				"Violated when they differ, when the set's fail their checks, when no set has identities, " +
				"or when `holdfast reonboard` has left them in clear.",
			Why: "Identities are backed up together with the databases and kept in a secure place. " +
				"They hold the node's private keys [validator_backups].",
			Consequence: "Route two brings back a different node, or none.",
			Next: "`holdfast backup` includes them in each set, if the configuration has `identities:`. " +
				"See docs/operate.md, Identities.",
			DependsOn: []Code{RepositoryReadable},
			judge:     identitiesBackedUp,
		},
		{
			Code:  IdentitiesMatchDatabase,
			Title: "the identities are those of the live participant",
			Observed: "Id and keys that the validator app exports, compared with those in the participant's database. " +
				"Violated when they differ.",
			Why: "A participant with the wrong database is healthy, but is another participant. " +
				"Only the id shows it [source].",
			Consequence: "The dump and the databases belong to two nodes: one of the two routes recovers the wrong one.",
			Next: "`holdfast identities fetch` shows the difference. " +
				"Check `databases:` and `identities.url`: one of them points at another node.",
			DependsOn: []Code{IdentitiesBackedUp, PostgresSupported},
			judge:     identitiesMatchDatabase,
		},
		{
			Code:  PartiesNotMigrated,
			Title: "route two brings back every party",
			Observed: "The parties that the participant hosts, from its admin API. " +
				"Violated when several participants host one, or when one is external.",
			Why: "Re-onboarding skips, with a warning, parties that several participants host " +
				"and parties of other namespaces [source].",
			Consequence: "Route two does not bring back these parties. Route one does.",
			Next: "Keep route one open for these parties. Before re-onboarding, plan each one: " +
				"`parties-to-migrate`, or the owner's signature for an external party.",
			judge: partiesNotMigrated,
		},
	}
}

func surroundings() []Entry {
	return []Entry{
		{
			Code:  DataOutlivesStop,
			Title: "the databases outlive the next stop.sh",
			Observed: "Where the bundle's Postgres keeps its data: a volume with a name, a directory, " +
				"its tablespaces and write-ahead log too. " +
				"Violated when any of it is in the container itself, in a volume without a name, or in memory.",
			Why: "stop.sh removes the containers. The next start.sh makes new ones, " +
				"which find neither what was in the old ones nor their volumes without a name [source].",
			Consequence: "The next stop.sh or upgrade loses the databases, and the node starts with a new identity.",
			Next: "Take a backup: `holdfast backup`. Then give Postgres a volume with a name at the path of its data " +
				"(`PGDATA`) in compose-local.yaml, start, and restore: `holdfast restore latest`.",
			judge: dataOutlivesStop,
		},
		{
			Code:  OneProgramAlive,
			Title: "no database has two programs of its kind alive",
			Observed: "Who is connected to each database: sessions that hold the lock of a participant or an app and, in Docker Compose, " +
				"containers that were started as one. Violated when two hold the lock, or when two are connected and none does. " +
				"One that is connected next to the lock is a passive replica.",
			Why: "Participants without replication, and validator apps before Splice 0.6.10, take no lock, " +
				"and write next to each other [source].",
			Consequence: "The database has the state of two programs mixed. A set of it is of neither.",
			Next: "Stop the one that is not the node's: `docker stop CONTAINER`. " +
				"`holdfast node show` names those that are passed over. Then `holdfast backup`.",
			DependsOn: []Code{PostgresSupported},
			judge:     oneProgramAlive,
		},
		{
			Code:  PruningConfigured,
			Title: "the participant prunes as declared",
			Observed: "The schedule in the participant's database, or from its admin API, compared with `check.pruning`. " +
				"If nothing is declared, there must be a schedule. Violated when it differs.",
			Why: "The validator app sets the schedule at every start. " +
				"If its configuration has none, it clears the schedule [source].",
			Consequence: "The databases grow without limit, and restores take longer; " +
				"or history is pruned before it is backed up.",
			Next: "Set `participantPruningSchedule` in the validator's values or configuration and restart the app, " +
				"or set `check.pruning: off`.",
			DependsOn: []Code{PostgresSupported},
			judge:     pruningConfigured,
		},
		{
			Code:  ClockSane,
			Title: "this machine's clock is right",
			Observed: "This machine's clock, compared with those of Scans and of database servers on other machines, " +
				"and with the times of stored sets. " +
				"Violated when most differ by more than `check.clock_skew` (30 seconds), or when a set is from the future.",
			Why:         "Ages, retention and runways are computed from it.",
			Consequence: "Sets are kept, dropped and judged by a wrong age.",
			Next: "Set the clock and keep it synchronized: chrony or systemd-timesyncd. " +
				"Sets from the future are not touched.",
			judge: clockSane,
		},
		{
			Code:  PostgresSupported,
			Title: "every database answers, on a version that can be dumped and restored",
			Observed: "The version of each server, and of the client programs here. " +
				"Violated when a version is not 14 to 18, or when no pg_dump here suits it.",
			Why:         "Postgres's own client programs write and read the schema. They refuse servers newer than themselves.",
			Consequence: "The next backup fails, or a set cannot be restored here.",
			Next:        "Install the client programs of the server's version, or set `tools:`.",
			judge:       postgresSupported,
		},
		{
			Code:  DatabasesCovered,
			Title: "the node's own servers have nothing that is in no set",
			Observed: "The databases and roles of the bundle's Postgres, compared with the configuration. " +
				"Violated when there are others than `check.not_backed_up` names. " +
				"A server outside of the node is its operator's.",
			Why:         "What shares the node's volume is lost with it, and a restore onto an empty volume leaves it behind.",
			Consequence: "The next loss of the volume loses it, or its only copy lies in a volume that was put aside.",
			Next: "Add each database to `databases:` of the configuration, " +
				"or name what need not be kept in `check.not_backed_up`. Roles: `pg_dumpall --roles-only`.",
			DependsOn: []Code{PostgresSupported},
			judge:     databasesCovered,
		},
		{
			Code:  RestoreComplete,
			Title: "no restore was interrupted",
			Observed: "The journal next to holdfast.yaml, and the labels of the live databases. " +
				"Violated when a restore of this node was begun and neither finished nor rolled back.",
			Why: "A restore replaces the databases of several servers one after the other. " +
				"In between, they do not belong together.",
			Consequence: "Backups are refused, and the node must not run.",
			Next: "Finish it: `holdfast restore SET --yes`, with the set that is named. " +
				"Or roll it back: `holdfast restore undo --yes`.",
			DependsOn: []Code{PostgresSupported},
			judge:     restoreComplete,
		},
		{
			Code:  SpaceForRestore,
			Title: "there is space to restore next to the live databases",
			Observed: "Free bytes on the servers' file systems, or at `check.restore_space`, " +
				"compared with the databases of the newest proven set plus a tenth. " +
				"Violated when there is less.",
			Why: "A restore builds new databases next to the live ones, proves them, and then swaps. " +
				"Nothing is destroyed before its replacement is proven.",
			Consequence: "A restore runs out of space half-way.",
			Next:        "Free some space, or restore to another server: `holdfast restore latest --to COMPONENT=CONNECTION`.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       spaceForRestore,
		},
	}
}
