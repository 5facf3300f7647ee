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
	IdentitiesMatchDatabase Code = "identities_match_database"
	RepositoryReadable      Code = "repository_readable"
	RecoveryKeyTested       Code = "recovery_key_tested"
	SecondCopy              Code = "second_copy"
	ClockSane               Code = "clock_sane"
	PostgresSupported       Code = "postgres_supported"
	SpaceForRestore         Code = "space_for_restore"
	UpgradePrepared         Code = "upgrade_prepared"
)

// Entry is one condition of the catalogue: what is asked, and what it means.
type Entry struct {
	Code        Code   `json:"code"`
	Title       string `json:"title"`       // what holds when it holds
	Observed    string `json:"observed"`    // from what, and when it is violated
	Why         string `json:"why"`         // the rule behind it, with its source
	Consequence string `json:"consequence"` // of a violation
	Next        string `json:"next"`        // what to do about a violation
	DependsOn   []Code `json:"depends_on"`  // the conditions whose failure can be this one's only cause

	judge func(*view) answer
}

// Catalogue lists the conditions in the order in which a person reads them: is
// there a way back, how fresh is it, how long is left, what would be missing.
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
			Code: RecoveryRoute, Title: "there is a way back today",
			Observed:    "Route one: a proven set whose restore point the synchronizer still serves. Route two: identities in a set that pass their checks and that a tried key opens. Violated when both are closed.",
			Why:         "Restore from databases, or re-onboard from the identities dump; with neither, everything the node holds is lost [validator_disaster_recovery].",
			Consequence: "If the node were lost now, its parties, coin and contracts would be lost with it.",
			Next:        "Take a backup now: `holdfast backup`. Then look at the other conditions: each closes one of the two routes.",
			DependsOn:   []Code{RepositoryReadable, RestorePointRetained, OldSynchronizer, RecoveryKeyTested},
			judge:       recoveryRoute,
		},
		{
			Code: RestoreProven, Title: "a restore was rehearsed lately, and every row came back",
			Observed:    "The newest conclusive drill in the repository. Violated when it failed, when it is older than `check.drill_every` (31 days), or when there is none.",
			Why:         "Only a restore shows that a set restores; Postgres accepts broken and reversed sets without complaint.",
			Consequence: "The first restore would be the real one.",
			Next:        "Rehearse one: `holdfast drill` restores the newest proven set into a throwaway server, compares everything, and is remembered.",
			DependsOn:   []Code{RepositoryReadable},
			judge:       restoreProven,
		},
		{
			Code: RepositoryReadable, Title: "the repository opens and its sets read",
			Observed:    "The repository is opened with its password, every manifest of this node is read, and of the newest proven set every file is there and its small ones read back. Violated when any of it fails.",
			Why:         "What cannot be read cannot be restored, and a broken disk is found when it is read.",
			Consequence: "Nothing can be restored from it, or not what it lists.",
			Next:        "Look at the disk or mount behind `repository.path`, and at the password behind `repository.password`; then use the second copy.",
			judge:       repositoryReadable,
		},
		{
			Code: RecoveryKeyTested, Title: "a recovery key has opened the identities of the newest set",
			Observed:    "`holdfast identities open` remembers in the repository when a key opened a set's identities. Violated when none opened the newest set's, or not within `check.key_test_every` (180 days).",
			Why:         "The node cannot open what it sealed: only a key kept elsewhere can, and a lost one is noticed when it is used.",
			Consequence: "The identities may be sealed to a key nobody has: route two would be closed.",
			Next:        "Take the recovery key from where it is kept: `holdfast identities open --key-file KEY | holdfast identities check -`.",
			DependsOn:   []Code{RepositoryReadable, IdentitiesBackedUp},
			judge:       recoveryKeyTested,
		},
		{
			Code: SecondCopy, Title: "a second copy of the sets is on another disk, and current",
			Observed:    "The repository at `check.second_copy` opens, is on another file system, of another disk as far as this machine knows its disks, and its newest proven set is at most `check.copy_behind` (24 hours) older than the first copy's. Violated otherwise.",
			Why:         "Backups are kept outside the node and its cluster [validator_backups]; the disk beside the node fails with the node.",
			Consequence: "One fault takes the node and its backups.",
			Next:        "Copy the repository after each backup (docs/operate.md, Moving the repository), and name the copy in `check.second_copy`.",
			DependsOn:   []Code{RepositoryReadable},
			judge:       secondCopy,
		},
	}
}

func freshness() []Entry {
	return []Entry{
		{
			Code: PostgresCadence, Title: "the newest proven set is as fresh as it should be",
			Observed:    "The age of the newest proven set, by the moment its participant was captured. Violated when it is older than `check.cadence` (4 hours) and a grace of half an hour, or twice what the last backup took; also when there is none.",
			Why:         "Every database at least every four hours [validator_backups].",
			Consequence: "A restore loses what happened since: users, keys, configuration; the rest is replayed for as long as sequencers have it.",
			Next:        "`holdfast backup`; then find out why the schedule did not: `systemctl status holdfast.timer`, or the mail of cron.",
			DependsOn:   []Code{RepositoryReadable, ClockSane},
			judge:       postgresCadence,
		},
		{
			Code: SnapshotOrdering, Title: "the newest set is in proven order and of one node",
			Observed:    "The order and the membership of the newest set of any state, recomputed from what it records. Violated when the evidence contradicts them.",
			Why:         "The validator app's backup is complete before the participant's starts [validator_backups]; a reversed pair restores and starts green, and loses updates.",
			Consequence: "The newest set is not a backup.",
			Next:        "`holdfast show SET` has the evidence. Look for a restore or failover of one database during the run, or a lagging standby; then `holdfast backup`.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence},
			judge:       snapshotOrdering,
		},
		{
			Code: HistoricalSpacing, Title: "no part of the history is in no set",
			Observed:    "The distances between proven sets, and from the newest to now, against the retention of the participant's pruning schedule. Violated when one is longer, as far back as `retention.history` says; not at all when `check.history` is `false`, or when there are rules of retention without it.",
			Why:         "Historical backups are spaced closer than the participant's pruning retention, or what lies between was pruned before it was captured [validator_backups].",
			Consequence: "The transactions of the gap are in no set; no other record of them exists. A restore of the newest set is not affected.",
			Next:        "The gap stays. Take sets more often than the participant prunes, and let retention keep them that close; `check.history: false` says that history is not wanted.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       historicalSpacing,
		},
		{
			Code: UsersSinceBackup, Title: "every user is in the newest proven set, or younger than the next one is due",
			Observed:    "Users of the live databases that the newest proven set has not. Violated when one of them should be in it: because it is older than the set, or because the set is older than it should be.",
			Why:         "Users onboarded after the backup have to be onboarded again by hand [validator_disaster_recovery].",
			Consequence: "After a restore these users are unknown to the node.",
			Next:        "`holdfast backup`. After a restore: onboard them again; the report lists them.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       usersSinceBackup,
		},
	}
}

func network() []Entry {
	return []Entry{
		{
			Code: RestorePointRetained, Title: "sequencers still keep everything since the newest restore point",
			Observed:    "The record time that the newest proven set reaches to, against the declared retention of each super validator's sequencer. Violated when it is further back than one of them keeps.",
			Why:         "A restored node replays from the sequencers; they keep about 30 days, set per super validator and published nowhere [validator_disaster_recovery, source].",
			Consequence: "Restored from this set the node cannot catch up (EventsUnavailableForTimestamp); only route two is left.",
			Next:        "`holdfast backup` while the node is up. Ask the super validators for their `retentionPeriod` and declare it in `check.retention`, with who said so.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence},
			judge:       restorePointRetained,
		},
		{
			Code: Acknowledgement, Title: "no super validator is about to disable the node",
			Observed:    "The newest sequenced event the participant has processed, which it acknowledges, against the declared retention of each super validator. Violated when less than `check.runway` (7 days) is left with one.",
			Why:         "A sequencer that prunes disables every member whose last acknowledgement is older than its retention, and nothing enables it again [source].",
			Consequence: "MemberDisabled: the databases are whole, and the node can never connect with that identity again. Only route two is left.",
			Next:        "Bring the node up now, or restore it elsewhere now: `holdfast restore latest`. The runway says how long there is.",
			DependsOn:   []Code{PostgresSupported, RestorePointRetained},
			judge:       acknowledgement,
		},
		{
			Code: OldSynchronizer, Title: "the synchronizer that the newest set was connected to is still served",
			Observed:    "The serial in the newest proven set against the one in use, which two Scans agree on or the node itself follows. When it is an older one: whether the Scans still publish its sequencers, and whether these answer. Violated when they do not publish them.",
			Why:         "After a logical synchronizer upgrade a set of before is restored against the old synchronizer first, which super validators keep for about 30 days [sv_logical_synchronizer_upgrade].",
			Consequence: "Restored from this set the node has nothing to connect to; it cannot cross over.",
			Next:        "`holdfast backup` on the upgraded node. If the node itself missed the upgrade: bring it up while the old sequencers run, with Splice 0.6.5 or later.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       oldSynchronizer,
		},
		{
			Code: LSURetention, Title: "a set from before the last synchronizer upgrade is kept for as long as it is of use",
			Observed:    "The serials in the proven sets against the one in use. Violated when every set is from after an upgrade whose old synchronizer the Scans still publish.",
			Why:         "Old backups are kept across upgrades: should the new synchronizer fail early, the node goes back to the old one [sv_logical_synchronizer_upgrade].",
			Consequence: "There is no way back to before the upgrade.",
			Next:        "Nothing makes up for it; it ends when the old synchronizer does. Pin the last set before the next upgrade.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported, OldSynchronizer},
			judge:       lsuRetention,
		},
		{
			Code: UpgradePrepared, Title: "no announced synchronizer upgrade finds the node unprepared",
			Observed:    "What two Scans agree is announced. With an upgrade to come: whether the validator app is of Splice 0.6.5 or later, whether the participant has heard from the network within the hour, and whether the newest proven set is of the serial that ends and as fresh as it should be. Violated when one of these is not so.",
			Why:         "A node that is behind or too old when its synchronizer is upgraded does not cross over by itself, and a set of before is the way back for about 30 days [sv_logical_synchronizer_upgrade].",
			Consequence: "The node may be left behind by the upgrade, or have no way back to before it.",
			Next:        "Before the upgrade's time: run Splice 0.6.5 or later, let the node catch up, then `holdfast backup`; keep the last set before it with `holdfast retention pin SET`.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       upgradePrepared,
		},
	}
}

func contents() []Entry {
	return []Entry{
		{
			Code: IdentitiesBackedUp, Title: "the identities of today are in a set",
			Observed:    "The running node's identities against those of the newest set that has any: id, keys and topology. Violated when they differ, when the set's fail their checks, or when no set has any.",
			Why:         "Identities are backed up beside the databases and kept in a secure place; they hold the node's private keys [validator_backups].",
			Consequence: "Route two would bring back another node than this one, or none.",
			Next:        "`holdfast backup` takes them with each set; without `identities:` in the configuration it does not: see docs/operate.md, Identities.",
			DependsOn:   []Code{RepositoryReadable},
			judge:       identitiesBackedUp,
		},
		{
			Code: IdentitiesMatchDatabase, Title: "the identities are those of the live participant",
			Observed:    "Id and keys that the validator app exports against those in the participant's database. Violated when they differ.",
			Why:         "A participant with the wrong database is healthy and is somebody else; only the id tells [source].",
			Consequence: "The dump and the databases are of two nodes: one of the two routes leads elsewhere.",
			Next:        "`holdfast identities fetch` names what differs. Look at `databases:` and `identities.url`: one of them points at another node.",
			DependsOn:   []Code{IdentitiesBackedUp, PostgresSupported},
			judge:       identitiesMatchDatabase,
		},
		{
			Code: PartiesNotMigrated, Title: "route two would bring back every party",
			Observed:    "The parties the participant hosts, from its admin API. Violated when one is hosted by several participants, or is external.",
			Why:         "Re-onboarding skips parties on more than one participant and parties of other namespaces, with a warning [source].",
			Consequence: "Route two leaves these parties behind. Route one brings them back.",
			Next:        "Keep route one in order for them. Before re-onboarding, plan each: `parties-to-migrate`, or the owner's own signature for an external party.",
			judge:       partiesNotMigrated,
		},
	}
}

func surroundings() []Entry {
	return []Entry{
		{
			Code: PruningConfigured, Title: "the participant prunes as it is meant to",
			Observed:    "The schedule in the participant's database, or from its admin API, against `check.pruning`; undeclared, there has to be one. Violated when it differs.",
			Why:         "The validator app sets the schedule at every start, and clears it when its configuration has none [source].",
			Consequence: "The databases grow without end, and with them the time that a restore takes; or history is pruned earlier than its backups expect.",
			Next:        "Set `participantPruningSchedule` in the validator's values or configuration and restart the app; or say `check.pruning: off`.",
			DependsOn:   []Code{PostgresSupported},
			judge:       pruningConfigured,
		},
		{
			Code: ClockSane, Title: "this machine's clock is right",
			Observed:    "The clocks of database servers on other machines and of Scans against the one here, and the times of stored sets. Violated when most differ by more than `check.clock_skew` (30 seconds), or when a set is from the future.",
			Why:         "Ages, retention and runways are counted by it.",
			Consequence: "Sets are kept, dropped and judged by a wrong age.",
			Next:        "Set the clock and keep it set: chrony or systemd-timesyncd. Sets from the future are left alone.",
			judge:       clockSane,
		},
		{
			Code: PostgresSupported, Title: "every database answers, on a version that can be dumped and restored",
			Observed:    "The version of each server, and of the client programs here. Violated when a version is not 14 to 18, or when no pg_dump here suits it.",
			Why:         "Postgres's own client programs write and read the schema, and refuse servers newer than themselves.",
			Consequence: "The next backup fails, or a set cannot be restored here.",
			Next:        "Install the client programs of the server's version, or set `tools:`.",
			judge:       postgresSupported,
		},
		{
			Code: SpaceForRestore, Title: "there is room to restore beside the live databases",
			Observed:    "Free bytes where the servers keep their data, or at `check.restore_space`, against the databases of the newest proven set and a tenth more. Violated when it is less.",
			Why:         "A restore builds beside, proves, and then swaps: nothing is destroyed before its replacement is proven.",
			Consequence: "A restore runs out of space half-way, on the worst day.",
			Next:        "Make room, or restore to another server: `holdfast restore latest --to COMPONENT=CONNECTION`.",
			DependsOn:   []Code{RepositoryReadable, PostgresCadence, PostgresSupported},
			judge:       spaceForRestore,
		},
	}
}
