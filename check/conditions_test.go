package check

import (
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast"
	"holdfast/observed"
	"holdfast/record"
)

// TestEvaluate changes one thing about a healthy node, and says which
// conditions no longer hold, what their evidence says, and which of them is the
// alarm.
func TestEvaluate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Observations)
		alarms map[Code]string // "violated: words" or "cannot tell: words"
		silent map[Code]Code   // symptoms, and their cause
	}{
		{"the repository does not open", func(o *Observations) {
			o.Repository = holdfast.Known(Repository{Name: "/b", Problem: "no repository there"})
		},
			map[Code]string{RepositoryReadable: "violated: no repository there", RecoveryRoute: "violated: route one"},
			map[Code]Code{PostgresCadence: RepositoryReadable, SnapshotOrdering: RepositoryReadable, HistoricalSpacing: RepositoryReadable, UsersSinceBackup: RepositoryReadable,
				RestorePointRetained: RepositoryReadable, OldSynchronizer: RepositoryReadable, LSURetention: RepositoryReadable, IdentitiesBackedUp: RepositoryReadable,
				RestoreProven: RepositoryReadable, SchemaComesBack: RepositoryReadable, TakenOverHolds: RepositoryReadable, RecoveryKeyTested: RepositoryReadable, SecondCopy: RepositoryReadable, SpaceForRestore: RepositoryReadable,
				LocksWithstandAttack: RepositoryReadable, LocksExtended: RepositoryReadable, RowsInRepository: RepositoryReadable}},
		{"a manifest does not read", func(o *Observations) {
			o.Repository = with(o.Repository, func(r *Repository) { r.Unreadable = []string{"20260101T000000Z-aa: cut off"} })
		}, map[Code]string{RepositoryReadable: "violated: 1 set of this node cannot be read: 20260101T000000Z-aa"}, nil},
		{"no set yet", func(o *Observations) { o.sets() },
			map[Code]string{PostgresCadence: "violated: no proven set", RecoveryRoute: "violated: closed: no set holds identities", IdentitiesBackedUp: "violated: no set"},
			map[Code]Code{SnapshotOrdering: PostgresCadence, HistoricalSpacing: PostgresCadence, UsersSinceBackup: PostgresCadence, RestorePointRetained: PostgresCadence,
				OldSynchronizer: PostgresCadence, LSURetention: PostgresCadence, SpaceForRestore: PostgresCadence, RecoveryKeyTested: IdentitiesBackedUp,
				SchemaComesBack: PostgresCadence, RowsInRepository: PostgresCadence}},
		{"the newest set is late", func(o *Observations) {
			o.sets(setAt(noon.Add(-9*time.Hour), 5), setAt(noon.Add(-5*time.Hour), 5))
		}, map[Code]string{PostgresCadence: "violated: 5h0m old"}, nil},
		{"the newest set is late, within the grace", func(o *Observations) {
			o.sets(setAt(noon.Add(-8*time.Hour), 5), setAt(noon.Add(-4*time.Hour-20*time.Minute), 5))
		}, nil, nil},
		{"and users were created since", func(o *Observations) {
			o.sets(setAt(noon.Add(-9*time.Hour), 5), setAt(noon.Add(-5*time.Hour), 5))
			o.live("participant", func(l *observed.Database) {
				made := noon.Add(-time.Hour)
				l.Facts.Participant.Users = append(l.Facts.Participant.Users, holdfast.User{ID: "bob", Created: &made})
			})
		}, map[Code]string{PostgresCadence: "violated: 5h0m old"}, map[Code]Code{UsersSinceBackup: PostgresCadence}},
		{"a user was created since a fresh set", func(o *Observations) {
			o.live("participant", func(l *observed.Database) {
				made := noon.Add(-time.Minute)
				l.Facts.Participant.Users = append(l.Facts.Participant.Users, holdfast.User{ID: "bob", Created: &made})
			})
		}, nil, nil},
		{"an old user is not in the set", func(o *Observations) {
			o.live("validator", func(l *observed.Database) { l.Facts.Validator.Users = append(l.Facts.Validator.Users, "carol") })
			o.live("participant", func(l *observed.Database) {
				made := noon.Add(-day)
				l.Facts.Participant.Users = append(l.Facts.Participant.Users, holdfast.User{ID: "carol", Created: &made})
			})
		}, map[Code]string{UsersSinceBackup: "violated: carol"}, nil},
		{"the newest set is reversed", func(o *Observations) {
			s := o.newest()
			s.Captures = cloned(s.Captures)
			ahead := *s.Captures[1].Components[0].Facts.Participant.LedgerEnd + 1
			s.Captures[0].Components[0].Facts.Validator = validatorAt(noon)
			s.Captures[0].Components[0].Facts.Validator.Stores[0].Offset = &ahead
			o.sets(setAt(noon.Add(-2*time.Hour), 5), s)
		}, map[Code]string{SnapshotOrdering: "violated: has ingested up to offset"}, nil},
		{"the order of the newest set is unknown", func(o *Observations) {
			s := o.newest()
			s.Captures = cloned(s.Captures)
			s.Captures[0].Components[0].Facts = holdfast.Facts{Schema: "unknown", Unknown: "another release"}
			o.sets(setAt(noon.Add(-2*time.Hour), 5), s)
		}, map[Code]string{SnapshotOrdering: "cannot tell: another release"}, nil},
		{"a gap in the history", func(o *Observations) { o.sets(setAt(noon.Add(-72*time.Hour), 5), o.newest()) },
			map[Code]string{HistoricalSpacing: "violated: the participant prunes after 2d"}, nil},
		{"a gap that is accepted", func(o *Observations) {
			o.sets(setAt(noon.Add(-72*time.Hour), 5), o.newest())
			o.Declared.NoHistory = true
		}, nil, nil},
		{"a gap farther back than history is wanted", func(o *Observations) {
			o.sets(setAt(noon.Add(-240*time.Hour), 5), setAt(noon.Add(-40*time.Hour), 5), o.newest())
			o.Declared.History = 30 * time.Hour
		}, nil, nil},
		{"a gap within the history that is wanted", func(o *Observations) {
			o.sets(setAt(noon.Add(-240*time.Hour), 5), setAt(noon.Add(-40*time.Hour), 5), o.newest())
			o.Declared.History = 50 * time.Hour
		}, map[Code]string{HistoricalSpacing: "violated: 8d8h apart"}, nil},
		{"a gap in sets that hold all", func(o *Observations) {
			o.sets(setAt(noon.Add(-72*time.Hour), 5), o.newest())
			o.Declared.NoPruning = true
			o.live("participant", func(l *observed.Database) { l.Facts.Participant.Pruning, l.Facts.Participant.NoPruning = nil, true })
		}, nil, nil},
		{"an app's database next to the node's", func(o *Observations) {
			o.Beside = holdfast.Known([]string{"database backend (8 MiB) at db:5432, owned by app", "role app at db:5432"})
			o.Declared.NotBackedUp = []string{"app", "back"}
		}, map[Code]string{DatabasesCovered: "violated: in no set: database backend (8 MiB)"}, nil},
		{"the live databases are away", func(o *Observations) {
			for name := range o.Live {
				o.Live[name] = holdfast.Unknown[observed.Database]("connection refused")
			}
		}, map[Code]string{PostgresSupported: "cannot tell: connection refused"},
			map[Code]Code{HistoricalSpacing: PostgresSupported, UsersSinceBackup: PostgresSupported, IdentitiesMatchDatabase: PostgresSupported, PruningConfigured: PostgresSupported, SpaceForRestore: PostgresSupported}},
		{"a server is too old", func(o *Observations) {
			o.live("validator", func(l *observed.Database) { l.Server = holdfast.Server{Number: 130011, Version: "13.11"} })
		}, map[Code]string{PostgresSupported: "violated: Postgres 13.11"}, nil},
		{"the client programs are too old", func(o *Observations) {
			o.live("validator", func(l *observed.Database) { l.Tools = "pg_dump is version 14" })
		}, map[Code]string{PostgresSupported: "violated: pg_dump is version 14"}, nil},
		{"the identities were left in clear", func(o *Observations) { o.Clear = "/etc/holdfast/demo.identities.clear.json" },
			map[Code]string{IdentitiesBackedUp: "violated: are in clear in /etc/holdfast/demo.identities.clear.json"}, nil},
		{"the validator app is away", func(o *Observations) { o.Identities = holdfast.Unknown[holdfast.IdentityFacts]("503") },
			map[Code]string{IdentitiesBackedUp: "cannot tell: 503"}, map[Code]Code{IdentitiesMatchDatabase: IdentitiesBackedUp}},
		{"a key is not in the set", func(o *Observations) {
			o.Identities = with(o.Identities, func(i *holdfast.IdentityFacts) {
				i.Content, i.Keys = "d", append(i.Keys, holdfast.IdentityKey{Name: "signing-2", Fingerprint: "1220bb"})
			})
		}, map[Code]string{IdentitiesBackedUp: "violated: signing-2"}, nil},
		{"the topology has changed", func(o *Observations) {
			o.Identities = with(o.Identities, func(i *holdfast.IdentityFacts) { i.Content = "d" })
		},
			map[Code]string{IdentitiesBackedUp: "violated: changed"}, nil},
		{"another node's identities", func(o *Observations) {
			o.Identities = with(o.Identities, func(i *holdfast.IdentityFacts) {
				i.ID = "PAR::other::1220"
				i.Checks = []holdfast.IdentityCheck{{Code: "same_participant", Title: "the dump belongs to this participant", Verdict: holdfast.Violated}, {Code: "keys_current", Verdict: holdfast.Holds}}
			})
		}, map[Code]string{IdentitiesBackedUp: "violated: PAR::other", IdentitiesMatchDatabase: "violated: the dump belongs to this participant"}, nil},
		{"identities that were not compared", func(o *Observations) {
			o.Identities = with(o.Identities, func(i *holdfast.IdentityFacts) { i.Checks = nil })
		}, map[Code]string{IdentitiesMatchDatabase: "cannot tell: not compared"}, nil},
		{"the admin API is another participant's", func(o *Observations) {
			o.Admin = with(o.Admin, func(p *observed.Participant) { p.ID = "other::1220" })
		}, map[Code]string{IdentitiesMatchDatabase: "violated: but the participant is other"}, nil},
		{"a party hosted by several", func(o *Observations) {
			o.Admin = with(o.Admin, func(p *observed.Participant) {
				p.Parties = holdfast.Known([]observed.Party{{ID: "one", Participants: 1}, {ID: "shared", Participants: 2}, {ID: "ext", Participants: 1, External: true}})
			})
		}, map[Code]string{PartiesNotMigrated: "violated: of 3 parties: 1 external: ext; 1 hosted by several participants: shared"}, nil},
		{"no admin API", func(o *Observations) { o.Admin = holdfast.Unknown[observed.Participant]("check.admin names none") },
			map[Code]string{PartiesNotMigrated: "cannot tell: check.admin"}, nil},
		{"no pruning", func(o *Observations) {
			o.live("participant", func(l *observed.Database) { l.Facts.Participant.Pruning, l.Facts.Participant.NoPruning = nil, true })
		}, map[Code]string{PruningConfigured: "violated: no pruning schedule"}, nil},
		{"other pruning than declared", func(o *Observations) { o.Declared.Pruning = 30 * day }, map[Code]string{PruningConfigured: "violated: check.pruning is 30d"}, nil},
		{"pruning where none is meant to be", func(o *Observations) { o.Declared.NoPruning = true }, map[Code]string{PruningConfigured: "violated: check.pruning is off"}, nil},
		{"an unknown schedule, and one of the admin API", func(o *Observations) {
			o.live("participant", func(l *observed.Database) { l.Facts.Participant.Pruning = nil })
			o.Admin = with(o.Admin, func(p *observed.Participant) {
				p.Pruning = holdfast.Known(&holdfast.Pruning{Retention: 48 * time.Hour})
			})
		}, nil, nil},
		{"an unknown schedule", func(o *Observations) {
			o.live("participant", func(l *observed.Database) { l.Facts.Participant.Pruning = nil })
		},
			map[Code]string{PruningConfigured: "cannot tell: schedule", HistoricalSpacing: "cannot tell: schedule"}, nil},
		{"a schema that would not come back", func(o *Observations) {
			o.rehearsed(holdfast.Rehearsal{Obstacles: []holdfast.Obstacle{{Object: "view v", Refusal: "operator does not exist"}}})
		}, map[Code]string{SchemaComesBack: "violated: participant: view v would not come back: operator does not exist"}, nil},
		{"a schema that could not be tried", func(o *Observations) {
			o.rehearsed(holdfast.Rehearsal{Unknown: "the role may not create databases", Do: "ALTER ROLE"})
		}, map[Code]string{SchemaComesBack: "cannot tell: may not create databases"}, nil},
		{"a schema that could not be tried, and that a drill has restored", func(o *Observations) {
			o.rehearsed(holdfast.Rehearsal{Unknown: "the role may not create databases", Do: "ALTER ROLE"})
			earlier := setAt(noon.Add(-3*time.Hour), 5)
			o.sets(earlier, o.newest())
			o.Drills = holdfast.Known([]record.Drill{{Set: earlier.ID, At: noon.Add(-time.Hour), Verdict: holdfast.Holds}})
		}, nil, nil},
		{"a set from before schemas were tried", func(o *Observations) {
			s := o.newest()
			s.Captures = cloned(s.Captures)
			s.Captures[0].Components[0].Schema, s.Captures[0].Components[0].Rehearsal = "", nil
			o.sets(s)
			o.Drills = holdfast.Known([]record.Drill{{Set: "another", At: noon.Add(-day), Verdict: holdfast.Holds}})
		}, map[Code]string{SchemaComesBack: "cannot tell: validator comes back: it was not tried"}, nil},
		{"rows that changed unseen", func(o *Observations) { o.disproved(noon.Add(-time.Hour)) },
			map[Code]string{TakenOverHolds: "violated: participant: table t, from block 512 on, changed without a transaction"}, nil},
		{"rows that changed unseen, and everything was read since", func(o *Observations) {
			o.disproved(noon.Add(-2 * time.Hour))
		}, nil, nil},
		{"what backups found cannot be read", func(o *Observations) {
			o.Disproofs = holdfast.Unknown[[]record.Disproof]("cut off")
		}, map[Code]string{TakenOverHolds: "cannot tell: cut off"}, nil},
		{"no drill", func(o *Observations) { o.Drills = holdfast.Known([]record.Drill(nil)) }, map[Code]string{RestoreProven: "violated: no drill was ever run"}, nil},
		{"an old drill", func(o *Observations) {
			o.Drills = with(o.Drills, func(d *[]record.Drill) {
				*d = []record.Drill{{Set: "s", At: noon.Add(-40 * day), Verdict: holdfast.Holds}}
			})
		}, map[Code]string{RestoreProven: "violated: 40d ago"}, nil},
		{"a drill that failed", func(o *Observations) {
			o.Drills = with(o.Drills, func(d *[]record.Drill) {
				*d = append(*d, record.Drill{Set: "s", At: noon.Add(-time.Hour), Verdict: holdfast.Violated, Found: "a row is gone"})
			})
		}, map[Code]string{RestoreProven: "violated: a row is gone"}, nil},
		{"a drill that could not tell counts for nothing", func(o *Observations) {
			o.Drills = with(o.Drills, func(d *[]record.Drill) {
				*d = append(*d, record.Drill{Set: "s", At: noon.Add(-time.Hour), Verdict: holdfast.CannotTell})
			})
		}, nil, nil},
		{"drills that cannot be read", func(o *Observations) { o.Drills = holdfast.Unknown[[]record.Drill]("a broken record") },
			map[Code]string{RestoreProven: "cannot tell: a broken record"}, nil},
		{"no key test", func(o *Observations) { o.KeyTests = holdfast.Known([]record.KeyTest(nil)) }, map[Code]string{RecoveryKeyTested: "violated: no recovery key was ever tested"}, nil},
		{"an old key test", func(o *Observations) {
			o.KeyTests = holdfast.Known([]record.KeyTest{{Set: "gone", Content: "c", At: noon.Add(-200 * day)}})
		}, map[Code]string{RecoveryKeyTested: "violated: 200d ago"}, nil},
		{"a key test of other identities", func(o *Observations) {
			o.KeyTests = holdfast.Known([]record.KeyTest{{Set: "gone", Content: "other", At: noon.Add(-day)}})
		}, map[Code]string{RecoveryKeyTested: "violated: only on others"}, nil},
		{"a restore was broken off", func(o *Observations) {
			o.Restore = holdfast.Known("a restore of set 20261122T154500Z-1f0c9a3e was interrupted")
		}, map[Code]string{RestoreComplete: "violated: a restore of set 20261122T154500Z-1f0c9a3e was interrupted"}, nil},
		{"no second copy", func(o *Observations) { o.Copies = holdfast.Unknown[[]Copy]("check.second_copy names none") },
			map[Code]string{SecondCopy: "cannot tell: check.second_copy"}, nil},
		{"a second copy on the same disk", func(o *Observations) { o.Copies = with(o.Copies, func(c *[]Copy) { (*c)[0].SameFileSystem = true }) },
			map[Code]string{SecondCopy: "violated: same file system"}, nil},
		{"a second copy in another partition", func(o *Observations) { o.Copies = with(o.Copies, func(c *[]Copy) { (*c)[0].SameDisk = true }) },
			map[Code]string{SecondCopy: "violated: on the disk of the repository"}, nil},
		{"a second copy that lags", func(o *Observations) {
			o.Copies = with(o.Copies, func(c *[]Copy) { (*c)[0].Sets = []CopiedSet{{"old", holdfast.Proven, noon.Add(-30 * time.Hour)}} })
		}, map[Code]string{SecondCopy: "violated: older than the first copy's"}, nil},
		{"a second copy that is not there", func(o *Observations) { o.Copies = with(o.Copies, func(c *[]Copy) { (*c)[0].Problem = "not mounted" }) },
			map[Code]string{SecondCopy: "violated: not mounted"}, nil},
		{"a repository without locks", func(o *Observations) { o.Locks = holdfast.Known(Locks{Where: "/backups"}) }, nil, nil},
		{"locks that cannot be read", func(o *Observations) { o.Locks = holdfast.Unknown[Locks]("refused") },
			map[Code]string{LocksWithstandAttack: "cannot tell: refused", LocksExtended: "cannot tell: refused"}, nil},
		{"a place that keeps no locks", func(o *Observations) { o.Locks = with(o.Locks, func(l *Locks) { l.Kept = false }) },
			map[Code]string{LocksWithstandAttack: "violated: s3://sets/demo keeps no locks"}, map[Code]Code{LocksExtended: LocksWithstandAttack}},
		{"attacks that were never tried", func(o *Observations) { o.Locks = with(o.Locks, func(l *Locks) { l.Tried = nil }) },
			map[Code]string{LocksWithstandAttack: "violated: no attack was ever tried"}, nil},
		{"attacks that cannot be tried", func(o *Observations) { o.Locks = with(o.Locks, func(l *Locks) { l.Untried = "of S3 only" }) },
			map[Code]string{LocksWithstandAttack: "cannot tell: of S3 only"}, nil},
		{"attacks that were tried long ago", func(o *Observations) { o.Locks = with(o.Locks, func(l *Locks) { l.Tried.At = noon.Add(-200 * day) }) },
			map[Code]string{LocksWithstandAttack: "violated: 200d ago"}, nil},
		{"an attack that succeeded", func(o *Observations) {
			o.Locks = with(o.Locks, func(l *Locks) { l.Tried.Tried[0].Verdict = holdfast.Violated })
		}, map[Code]string{LocksWithstandAttack: "violated: 9d ago, delete"}, nil},
		{"an attack that came to nothing", func(o *Observations) {
			o.Locks = with(o.Locks, func(l *Locks) { l.Tried.Tried[0].Verdict = holdfast.CannotTell })
		}, map[Code]string{LocksWithstandAttack: "cannot tell: 9d ago, delete"}, nil},
		{"maintenance that has stopped", func(o *Observations) {
			o.Locks = with(o.Locks, func(l *Locks) { l.Extended, l.Until = noon.Add(-25*day), noon.Add(5*day) })
		}, map[Code]string{LocksExtended: "violated: the locks end in 5d; maintenance extended them 25d ago"}, nil},
		{"a blob without a lock", func(o *Observations) {
			o.Locks = with(o.Locks, func(l *Locks) { l.Until, l.Of = time.Time{}, "p00" })
		}, map[Code]string{LocksExtended: "violated: p00 has no lock"}, nil},
		{"a provider that protects, with room", func(o *Observations) { o.Provider = holdfast.Known([]Instance{rented()}) }, nil, nil},
		{"a provider that does not answer", func(o *Observations) { o.Provider = holdfast.Unknown[[]Instance]("refused") },
			map[Code]string{ProviderKeepsSnapshots: "cannot tell: refused"}, nil},
		{"an account that is nearly full", func(o *Observations) {
			i := rented()
			i.Used = 89
			o.Provider = holdfast.Known([]Instance{rented(), i})
		}, map[Code]string{ProviderKeepsSnapshots: "violated: rds eu-central-1 has 89 of 100 snapshots, so 11 are left"}, nil},
		{"an instance that one call deletes", func(o *Observations) {
			i := rented()
			i.Protected = false
			o.Provider = holdfast.Known([]Instance{i})
		}, map[Code]string{ProviderKeepsSnapshots: "violated: deletion protection of splice is off"}, nil},
		{"a snapshot that is gone", func(o *Observations) {
			o.snapshots(1, 2)
			i := rented()
			r, _ := o.Repository.Get()
			for _, s := range r.Sets[1:] {
				for range s.Captures {
					i.Sets = append(i.Sets, s.ID)
				}
			}
			i.Sets = i.Sets[1:]
			o.Provider = holdfast.Known([]Instance{i})
		}, map[Code]string{ProviderKeepsSnapshots: "violated: the provider does not keep the snapshots of 1 set any more: 2"}, nil},
		{"snapshots are the only copy", func(o *Observations) { o.snapshots(0, 1, 2) },
			map[Code]string{RowsInRepository: "violated: every proven set refers to snapshots"}, nil},
		{"a set before the snapshots has its rows", func(o *Observations) { o.snapshots(1, 2) }, nil, nil},
		{"rows that are old", func(o *Observations) {
			o.snapshots(1, 2)
			r, _ := o.Repository.Get()
			old := setAt(noon.Add(-9*day), 5)
			o.sets(append([]holdfast.Set{old}, r.Sets[1:]...)...)
		}, map[Code]string{RowsInRepository: "violated: and 9d old; the limit is 8d", HistoricalSpacing: "violated: 8d19h apart"}, nil},
		{"data that the next stop loses", func(o *Observations) {
			o.Data = holdfast.Known(holdfast.Finding{Verdict: holdfast.Violated, Evidence: "it lies in the container itself"})
		}, map[Code]string{DataOutlivesStop: "violated: in the container itself"}, nil},
		{"a Docker daemon that does not answer", func(o *Observations) { o.Data = holdfast.Unknown[holdfast.Finding]("no daemon") },
			map[Code]string{DataOutlivesStop: "cannot tell: no daemon"}, nil},
		{"two participants on one database", func(o *Observations) {
			o.Alive = holdfast.Known(holdfast.Finding{Verdict: holdfast.Violated, Evidence: "participant, console"})
		}, map[Code]string{OneProgramAlive: "violated: participant, console"}, nil},
		{"sessions that nobody shows", func(o *Observations) { o.Alive = holdfast.Unknown[holdfast.Finding]("no server") },
			map[Code]string{OneProgramAlive: "cannot tell: no server"}, nil},
		{"a set from the future", func(o *Observations) { o.sets(o.newest(), setAt(noon.Add(day), 5)) }, map[Code]string{ClockSane: "violated: in the future"}, nil},
		{"every set from the future", func(o *Observations) { o.sets(setAt(noon.Add(day), 5)) },
			map[Code]string{ClockSane: "violated: in the future", RecoveryRoute: "violated: no proven set", IdentitiesBackedUp: "violated: no set"},
			map[Code]Code{PostgresCadence: ClockSane, SnapshotOrdering: PostgresCadence, HistoricalSpacing: PostgresCadence, UsersSinceBackup: PostgresCadence, RestorePointRetained: PostgresCadence,
				OldSynchronizer: PostgresCadence, LSURetention: PostgresCadence, SpaceForRestore: PostgresCadence, RecoveryKeyTested: IdentitiesBackedUp,
				SchemaComesBack: PostgresCadence, RowsInRepository: PostgresCadence}},
		{"this clock differs from all others", func(o *Observations) {
			for i := range o.Scans {
				o.Scans[i].Clock = holdfast.Known(-time.Hour)
			}
		}, map[Code]string{ClockSane: "violated: 1h0m behind this machine's"}, nil},
		{"one clock differs", func(o *Observations) { o.Scans[0].Clock = holdfast.Known(-time.Hour) }, nil, nil},
		{"no other clock", func(o *Observations) {
			for i := range o.Scans {
				o.Scans[i].Clock = holdfast.Unknown[time.Duration]("no date")
			}
			for name := range o.Live {
				o.live(name, func(l *observed.Database) { l.Local = true })
			}
		}, map[Code]string{ClockSane: "cannot tell: runs on this machine"}, nil},
		{"a full disk", func(o *Observations) {
			for name := range o.Live {
				o.live(name, func(l *observed.Database) { l.Free = holdfast.Known[int64](1 << 20) })
			}
		}, map[Code]string{SpaceForRestore: "violated: has 1.0 MiB free"}, nil},
		{"a disk that is elsewhere", func(o *Observations) {
			for name := range o.Live {
				o.live(name, func(l *observed.Database) { l.Free = holdfast.Unknown[int64]("the server is elsewhere") })
			}
		}, map[Code]string{SpaceForRestore: "cannot tell: the server is elsewhere"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := healthy()
			c.change(o)
			judged(t, Evaluate(*o, noon), c.alarms, c.silent)
		})
	}
}

// judged compares conditions with what is expected of them; all others have to
// hold.
func judged(t *testing.T, list []Condition, alarms map[Code]string, silent map[Code]Code) {
	t.Helper()
	for _, got := range list {
		want, alarm := alarms[got.Code]
		cause, symptom := silent[got.Code]
		switch {
		case alarm:
			verdict, words, _ := strings.Cut(want, ": ")
			if string(got.Verdict) != verdict || !strings.Contains(got.Evidence, words) || got.SilencedBy != "" || got.Next == "" {
				t.Errorf("want %q, got %+v", want, got)
			}
		case symptom:
			if got.Verdict == holdfast.Holds || got.SilencedBy != cause {
				t.Errorf("want it silenced by %s, got %+v", cause, got)
			}
		case got.Verdict != holdfast.Holds:
			t.Errorf("want it to hold, got %+v", got)
		}
		if got.SilencedBy != "" && !slices.Contains(Catalogue()[slices.Index(Codes(), got.Code)].DependsOn, got.SilencedBy) {
			t.Errorf("%s is silenced by %s, which its entry does not name", got.Code, got.SilencedBy)
		}
	}
}

// The network's conditions: what Scans say, alone and together, and what is
// left of the time.
func TestEvaluateTheNetwork(t *testing.T) {
	upgraded := func(o *Observations, served ...int) {
		o.Scans = scans(6, served...)
		o.live("participant", func(l *observed.Database) {
			l.Facts.Participant = participantAt(noon.Add(-time.Minute), 6)
			l.Facts.Participant.Synchronizers = append(l.Facts.Participant.Synchronizers, holdfast.Synchronizer{Alias: "global", PhysicalID: physical(5)})
		})
	}
	for _, c := range []struct {
		name   string
		change func(*Observations)
		alarms map[Code]string
		silent map[Code]Code
	}{
		{"an upgrade since the newest set, the old one served", func(o *Observations) { upgraded(o, 5, 6) }, nil, nil},
		{"an upgrade since the newest set, the old one gone", func(o *Observations) { upgraded(o, 6) },
			map[Code]string{OldSynchronizer: "violated: no longer published"}, nil},
		{"an upgrade, and no answer from the old one", func(o *Observations) {
			upgraded(o, 5, 6)
			for i := range o.Scans {
				list, _ := o.Scans[i].Sequencers.Get()
				for k := range list {
					list[k].Answers = false
				}
			}
		}, map[Code]string{OldSynchronizer: "cannot tell: none answers from here"}, nil},
		{"an upgrade, sets of both sides", func(o *Observations) {
			o.sets(setAt(noon.Add(-5*time.Hour), 5), setAt(noon.Add(-time.Hour), 6))
			upgraded(o, 5, 6)
		}, nil, nil},
		{"an upgrade, and every older set dropped", func(o *Observations) {
			o.sets(setAt(noon.Add(-time.Hour), 6))
			upgraded(o, 5, 6)
		}, map[Code]string{LSURetention: "violated: every proven set is from serial 6"}, nil},
		{"an upgrade, every older set dropped, and a Scan that invents an older serial", func(o *Observations) {
			o.sets(setAt(noon.Add(-time.Hour), 6))
			upgraded(o, 5, 6)
			o.Scans[1] = scanView("https://liar", 6, 0, 6)
		}, map[Code]string{LSURetention: "violated: every proven set is from serial 6"}, nil},
		{"an upgrade long ago", func(o *Observations) {
			o.sets(setAt(noon.Add(-time.Hour), 6))
			upgraded(o, 6)
		}, nil, nil},
		{"an upgrade that the node missed", func(o *Observations) { o.Scans = scans(6, 6) }, map[Code]string{OldSynchronizer: "violated: no longer published"}, nil},
		{"one Scan lies", func(o *Observations) { o.Scans[1] = scanView("https://liar", 7, 7) }, nil, nil},
		{"one Scan alone, of a node that follows", func(o *Observations) { o.Scans = o.Scans[:1] },
			map[Code]string{UpgradePrepared: "cannot tell: 1 of 1 Scan"}, nil},
		{"one Scan alone says that there was an upgrade", func(o *Observations) { o.Scans = []observed.Scan{scanView("https://liar", 7, 7)} },
			map[Code]string{UpgradePrepared: "cannot tell: 1 of 1 Scan"}, nil},
		{"no Scan, of a node that follows", func(o *Observations) { o.Scans = nil; o.live("participant", local) },
			map[Code]string{UpgradePrepared: "cannot tell: no Scan is configured"}, nil},
		{"no Scan, of a node that knows an older serial", func(o *Observations) {
			o.Scans = nil
			o.live("participant", func(l *observed.Database) {
				l.Facts.Participant.Synchronizers = append(l.Facts.Participant.Synchronizers, holdfast.Synchronizer{Alias: "global", PhysicalID: physical(4)})
			})
		}, map[Code]string{LSURetention: "cannot tell: no Scan is configured", UpgradePrepared: "cannot tell: no Scan is configured"}, nil},
		{"no Scan, of a node that stands still", func(o *Observations) {
			o.Scans = nil
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-3 * time.Hour)})
		}, map[Code]string{OldSynchronizer: "cannot tell: no Scan is configured", UpgradePrepared: "cannot tell: no Scan is configured"}, map[Code]Code{LSURetention: OldSynchronizer}},
		{"Scans that disagree, of a node that stands still", func(o *Observations) {
			o.Scans = []observed.Scan{scanView("https://a", 5, 5), scanView("https://b", 6, 6)}
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-3 * time.Hour)})
		}, map[Code]string{OldSynchronizer: "cannot tell: https://b: serial 6 is in use"}, map[Code]Code{LSURetention: OldSynchronizer}},
		{"Scans that limit", func(o *Observations) {
			for i := range o.Scans {
				o.Scans[i].Serial, o.Scans[i].Sequencers = holdfast.Unknown[int]("429"), holdfast.Unknown[[]observed.Sequencer]("429")
			}
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-3 * time.Hour)})
		}, map[Code]string{OldSynchronizer: "cannot tell: 429"}, map[Code]Code{LSURetention: OldSynchronizer}},
		{"no retention is declared", func(o *Observations) { o.Declared.Retention = nil },
			map[Code]string{RestorePointRetained: "cannot tell: not declared for SV-1, SV-2, SV-3"}, map[Code]Code{Acknowledgement: RestorePointRetained}},
		{"one retention is not declared", func(o *Observations) {
			o.Declared.Retention = []Retention{{SV: "SV-1", Keeps: 30 * day, Source: "s"}, {SV: "SV-2", Keeps: 30 * day, Source: "s"}}
		}, map[Code]string{RestorePointRetained: "cannot tell: not declared for SV-3"}, map[Code]Code{Acknowledgement: RestorePointRetained}},
		{"a node that was away for 28 days", func(o *Observations) {
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-28 * day)})
		}, map[Code]string{Acknowledgement: "violated: 2d left"}, nil},
		{"a super validator that keeps less", func(o *Observations) {
			o.Declared.Retention = append(o.Declared.Retention, Retention{SV: "SV-2", Keeps: 8 * day, Source: "said so"})
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-2 * day)})
		}, map[Code]string{Acknowledgement: "violated: SV-2 keeps 8d (declared: said so)"}, nil},
		{"a restore point beyond the retention", func(o *Observations) {
			o.Declared.Retention = []Retention{{SV: EverySV, Keeps: 30 * time.Minute, Source: "a test"}}
			o.Limits.Runway = time.Minute
		}, map[Code]string{RestorePointRetained: "violated: -30m0s left"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := healthy()
			c.change(o)
			judged(t, Evaluate(*o, noon), c.alarms, c.silent)
		})
	}
}

func local(*observed.Database) {}

// An upgrade that is announced, and what a node has to be like for it.
func TestEvaluateAnAnnouncedUpgrade(t *testing.T) {
	at := noon.Add(3 * time.Hour)
	announce := func(o *Observations, scans ...int) {
		for _, i := range scans {
			o.Scans[i].Upgrade = holdfast.Known(observed.Upgrade{At: at, Successor: physical(6)})
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Observations)
		want   string
		alarms map[Code]string
		silent map[Code]Code
	}{
		{"none", func(*Observations) {}, "holds: 3 of 3 Scans: no upgrade is announced", nil, nil},
		{"one, for a node that is ready", func(o *Observations) { announce(o, 0, 1, 2) }, "holds: 35-6 is announced for 2026-11-22 15:00", nil, nil},
		{"that two Scans announce, in their own time zones", func(o *Observations) {
			announce(o, 0, 1)
			o.Scans[1].Upgrade = holdfast.Known(observed.Upgrade{At: at.In(time.FixedZone("", 3600)), Successor: physical(6)})
		}, "holds: in 3h0m", nil, nil},
		{"that one Scan alone announces", func(o *Observations) { announce(o, 0) }, "holds: no upgrade is announced", nil, nil},
		{"on which two Scans disagree", func(o *Observations) { o.Scans = o.Scans[:2]; announce(o, 0) }, "", map[Code]string{UpgradePrepared: "cannot tell: is announced for"}, nil},
		{"that no Scan announces", func(o *Observations) {
			for i := range o.Scans {
				o.Scans[i].Upgrade = holdfast.Unknown[observed.Upgrade]("it does not know this request (404)")
			}
		}, "", map[Code]string{UpgradePrepared: "cannot tell: does not know this request"}, nil},
		{"for an old release", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.App = with(o.App, func(a *observed.App) { a.Version = "0.6.4" })
		}, "", map[Code]string{UpgradePrepared: "violated: runs Splice 0.6.4 and cannot follow"}, nil},
		{"for a release that nobody knows", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.App = holdfast.Unknown[observed.App]("connection refused")
		}, "", map[Code]string{UpgradePrepared: "cannot tell: connection refused"}, nil},
		{"for a release of another kind", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.App = with(o.App, func(a *observed.App) { a.Version = "main" })
		}, "", map[Code]string{UpgradePrepared: "cannot tell: \"main\""}, nil},
		{"for a node that stands still", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.Metrics = holdfast.Known(observed.Metrics{LastSequenced: noon.Add(-2 * time.Hour)})
		}, "", map[Code]string{UpgradePrepared: "violated: has received nothing for 2h0m"}, nil},
		{"for a node whose metrics do not answer", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.Metrics, o.Declared.Metrics = holdfast.Unknown[observed.Metrics]("no answer within 10s"), true
			o.live("participant", func(l *observed.Database) { l.Facts.Participant = participantAt(noon.Add(-2*time.Hour), 5) })
		}, "", map[Code]string{
			UpgradePrepared: "violated: has received nothing for 2h0m (the participant's database; no answer within 10s)",
		}, nil},
		{"for a node of which nobody knows how far it is", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.Metrics = holdfast.Unknown[observed.Metrics]("none")
			o.live("participant", func(l *observed.Database) { l.Facts.Participant.RecordTimes = nil })
		}, "", map[Code]string{UpgradePrepared: "cannot tell: no record time", Acknowledgement: "cannot tell: no record time"}, nil},
		{"before which there is no set", func(o *Observations) {
			announce(o, 0, 1, 2)
			o.sets(setAt(noon.Add(-5*time.Hour), 5))
		}, "", map[Code]string{PostgresCadence: "violated: 5h0m old"}, map[Code]Code{UpgradePrepared: PostgresCadence}},
		{"a second one, with no set since the first", func(o *Observations) {
			o.Scans = scans(6, 5, 6)
			announce(o, 0, 1, 2)
			o.live("participant", func(l *observed.Database) { l.Facts.Participant = participantAt(noon.Add(-time.Minute), 6) })
		}, "", map[Code]string{UpgradePrepared: "violated: is of serial 5, in use is 6"}, nil},
		{"a second one, with time for a set until then", func(o *Observations) {
			at = noon.Add(5 * time.Hour)
			o.Scans = scans(6, 5, 6)
			announce(o, 0, 1, 2)
			o.live("participant", func(l *observed.Database) { l.Facts.Participant = participantAt(noon.Add(-time.Minute), 6) })
		}, "holds: the next set, of serial 6, is due before that", nil, nil},
		{"that should have been", func(o *Observations) {
			at = noon.Add(-2 * time.Hour)
			announce(o, 0, 1, 2)
		}, "holds: 2h0m ago", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := healthy()
			c.change(o)
			list := Evaluate(*o, noon)
			judged(t, list, c.alarms, c.silent)
			got := list[slices.Index(Codes(), UpgradePrepared)]
			verdict, words, _ := strings.Cut(c.want, ": ")
			if c.want != "" && (string(got.Verdict) != verdict || !strings.Contains(got.Evidence, words)) {
				t.Errorf("want %q, got %+v", c.want, got)
			}
		})
	}
}

// A route that is unknown does not close the other one, and both closed is
// an alarm that no cause silences.
func TestRecoveryRoute(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Observations)
		want   string
	}{
		{"both open", func(*Observations) {}, "holds: route one, a set: open"},
		{"only the identities", func(o *Observations) {
			o.Declared.Retention = []Retention{{SV: EverySV, Keeps: time.Minute, Source: "s"}}
		}, "holds: closed: restore_point_within_retained_history. Route two, the identities: open"},
		{"the newest sets in doubt", func(o *Observations) { o.disproved(noon.Add(-time.Minute)) },
			"holds: route one, a set: open, with set " + string(setAt(noon.Add(-9*time.Hour), 5).ID) +
				"; newer and in doubt: 2 proven sets"},
		{"only a set", func(o *Observations) { o.KeyTests = holdfast.Known([]record.KeyTest(nil)) }, "holds: no current test shows that a key opens"},
		{"identities in a KMS", func(o *Observations) {
			s := o.newest()
			ids := *s.Identities
			ids.KMS = true
			s.Identities = &ids
			o.sets(s)
			o.Declared.Retention = []Retention{{SV: EverySV, Keeps: time.Minute, Source: "s"}}
		}, "cannot tell: only the names of keys"},
		{"keys in a KMS", func(o *Observations) {
			s := o.newest()
			ids := *s.Identities
			ids.KMS, ids.Keys = true, []holdfast.IdentityKey{{Name: "namespace", KMSKey: "arn:aws:kms:1"}}
			s.Identities, s.Captures = &ids, cloned(s.Captures)
			p := *s.Captures[1].Components[0].Facts.Participant
			p.KMSKeys = []string{"arn:aws:kms:1"}
			s.Captures[1].Components[0].Facts.Participant = &p
			o.sets(s)
		}, "cannot tell: holds the names of 1 key in a KMS. Route two, the identities: missing: whether the KMS still gives the node its keys: the identities in set"},
		{"damaged identities, and a set too old", func(o *Observations) {
			s := o.newest()
			ids := *s.Identities
			ids.Checks = []holdfast.IdentityCheck{{Title: "every part decodes", Verdict: holdfast.Violated, Evidence: "cut"}}
			s.Identities = &ids
			o.sets(s)
			o.Declared.Retention = []Retention{{SV: EverySV, Keeps: time.Minute, Source: "s"}}
		}, "violated: closed: the identities in set"},
		{"neither known", func(o *Observations) {
			o.KeyTests = holdfast.Known([]record.KeyTest(nil))
			o.Declared.Retention = nil
		}, "cannot tell: route one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := healthy()
			c.change(o)
			list := Evaluate(*o, noon)
			got := list[slices.Index(Codes(), RecoveryRoute)]
			verdict, words, _ := strings.Cut(c.want, ": ")
			if string(got.Verdict) != verdict || !strings.Contains(got.Evidence, words) || got.Verdict == holdfast.Violated && got.SilencedBy != "" {
				t.Errorf("want %q, got %+v", c.want, got)
			}
		})
	}
}

// What a restore would lose, and where its route starts, is of the set that it takes.
func TestARestoreThatNamesNoSetTakesNoneInDoubt(t *testing.T) {
	o := healthy()
	o.disproved(noon.Add(-time.Minute))
	want := setAt(noon.Add(-9*time.Hour), 5).ID
	if got := Losses(*o, noon).Set; got != want {
		t.Errorf("losses of set %s, want %s", got, want)
	}
	if got := Routes(*o, noon)[0].Set; got != want {
		t.Errorf("a route from set %s, want %s", got, want)
	}
}

func TestRunways(t *testing.T) {
	o := healthy()
	o.Declared.Retention = []Retention{{SV: "SV-1", Keeps: 30 * day, Source: "a"}, {SV: "SV-3", Keeps: 14 * day, Source: "b", Published: true}}
	r := Runways(*o, noon)
	if len(r) != 3 || r[0].SV != "SV-3" || r[1].SV != "SV-1" || r[2].SV != "SV-2" || r[2].Left != nil || r[2].Source != "unknown" || r[0].Source != "published: b" || *r[0].Left != 14*day-time.Minute {
		t.Errorf("%+v", r)
	}
	o.Metrics, o.Live = holdfast.Unknown[observed.Metrics]("x"), nil
	for _, one := range Runways(*o, noon) {
		if one.Left != nil || one.Acked != nil {
			t.Errorf("computed without an acknowledgement: %+v", one)
		}
	}
	o.Scans, o.Declared.Retention = nil, []Retention{{SV: EverySV, Keeps: 30 * day, Source: "a"}}
	if r := Runways(*o, noon); len(r) != 1 || r[0].SV != "every super validator" {
		t.Errorf("%+v", r)
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 400 * time.Millisecond: "0s", time.Hour - 400*time.Millisecond: "1h0m", 90 * time.Second: "1m30s", 25*time.Hour + time.Minute: "25h1m",
		48 * time.Hour: "2d", 50 * time.Hour: "2d2h", -time.Minute: "-1m0s",
	} {
		if got := span(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestOnlyAndErr(t *testing.T) {
	o := healthy()
	o.sets()
	r := Make(*o, noon)
	if holdfast.ClassOf(r.Err()) != holdfast.Violation || !strings.Contains(r.Err().Error(), "recovery_route_available, postgres_cadence") || strings.Contains(r.Err().Error(), "lsu_retention") {
		t.Error(r.Err())
	}
	if one := r.Only(PartiesNotMigrated); one.Verdict != holdfast.Holds || one.Err() != nil || len(one.Conditions) != 1 {
		t.Errorf("%+v", one)
	}
	if one := r.Only(LSURetention); holdfast.ClassOf(one.Err()) != holdfast.Undetermined {
		t.Errorf("a symptom alone: %+v, %v", one, one.Err())
	}
}

func TestLossesSayWhatToDo(t *testing.T) {
	o := healthy()
	o.live("participant", func(l *observed.Database) {
		l.Facts.Participant = participantAt(noon.Add(-time.Minute), 6, "bob")
		l.Facts.Participant.Dars = append(l.Facts.Participant.Dars, holdfast.Dar{ID: "b", Name: "own-app", Version: "2"})
		l.Parties = []string{"bob::1220"}
	})
	o.live("validator", func(l *observed.Database) { l.Facts.Validator.Users = []string{"admin", "bob"} })
	o.Scans = scans(6, 5, 6)
	l := Losses(*o, noon)
	all := strings.Join(l.Steps, "\n")
	for _, want := range []string{"stopped and stays stopped", "serial 5, in use is 6", "wallet user bob", "ledger API user bob", "own-app 2", "party bob::1220", "older than the participant's"} {
		if !strings.Contains(all, want) {
			t.Errorf("the steps do not say %q:\n%s", want, all)
		}
	}
	o.Live["validator"] = holdfast.Unknown[observed.Database]("connection refused")
	if l := Losses(*o, noon); l.Complete != holdfast.CannotTell || len(l.Unknown) != 1 || !strings.Contains(l.Unknown[0], "connection refused") {
		t.Errorf("%+v", l)
	}
}

func TestWhatIsNotBackedUpOnPurpose(t *testing.T) {
	o := healthy()
	o.Beside = holdfast.Known([]string{"database backend (8 MiB) at db:5432, owned by app"})
	o.Declared.NotBackedUp = []string{"backend"}
	if a := newView(*o, noon).of(DatabasesCovered); a.verdict != holdfast.Holds || a.evidence != "declared as not backed up: backend" {
		t.Errorf("%+v", a)
	}
}
