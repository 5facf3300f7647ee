package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"holdfast"
	"holdfast/record"
)

// sealed is the newest set that holds identities, of any state but one whose
// parts are of different nodes.
func (v *view) sealed() (holdfast.Set, bool) {
	for _, s := range slices.Backward(v.sets) {
		if s.Identities != nil && s.Identities.SealedFile != "" && s.State != holdfast.Mismatched {
			return s, true
		}
	}
	return holdfast.Set{}, false
}

// failed is the first check of a dump with that verdict, "" if there is none.
func failed(checks []holdfast.IdentityCheck, verdict holdfast.Verdict, codes ...string) string {
	for _, c := range checks {
		if c.Verdict == verdict && (len(codes) == 0 || slices.Contains(codes, c.Code)) {
			return fmt.Sprintf("failed: %s: %s", c.Title, c.Evidence)
		}
	}
	return ""
}

func identitiesBackedUp(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	s, ok := v.sealed()
	if !ok {
		const none = "no set of this node holds identities"
		if _, now := v.Identities.Get(); !now {
			return violated("%s: %s", none, v.Identities.Missing())
		}
		return violated(none)
	}
	kept := *s.Identities
	if why := failed(kept.Checks, holdfast.Violated); why != "" {
		return violated("the identities in set %s: %s", s.ID, why)
	}
	now, ok := v.Identities.Get()
	switch {
	case !ok:
		return cannotTell(inIdentities, v.Identities.Missing())
	case now.ID != kept.ID:
		return violated("the node is %s, but the identities in set %s are of %s", now.ID, s.ID, kept.ID)
	}
	for _, k := range now.Keys {
		if !slices.ContainsFunc(kept.Keys, func(o holdfast.IdentityKey) bool {
			return o.Fingerprint == k.Fingerprint && o.KMSKey == k.KMSKey
		}) {
			return violated("key %.16s… (%s) of the node is not in set %s", k.Fingerprint+k.KMSKey, k.Name, s.ID)
		}
	}
	if now.Content != kept.Content {
		return violated("the node's identities have changed since set %s: other keys or another topology", s.ID)
	}
	if v.Clear != "" {
		return violated("the node's private keys are in clear in %s; `holdfast reonboard clean` removes it", v.Clear)
	}
	clear := ""
	if places := v.Declared.InClear; len(places) > 0 {
		clear = "; as configured, they are in clear in " + strings.Join(places, ", ")
	}
	return holds("set %s holds the current identities of %s, sealed to %s%s",
		s.ID, now.ID, count(len(kept.Recipients), "recipient"), clear)
}

func identitiesMatchDatabase(v *view) answer {
	now, ok := v.Identities.Get()
	if !ok {
		return cannotTell(inIdentities, v.Identities.Missing()).dueTo(IdentitiesBackedUp)
	}
	compare := []string{"same_participant", "keys_current"} // the checks of identities that compare
	if why := failed(now.Checks, holdfast.Violated, compare...); why != "" {
		return violated("%s", why)
	}
	if _, a, ok := v.participant(); !ok {
		return a
	}
	if why := failed(now.Checks, holdfast.CannotTell, compare...); why != "" {
		return cannotTell(inDatabase, why)
	}
	compared := slices.DeleteFunc(slices.Clone(now.Checks), func(c holdfast.IdentityCheck) bool {
		return !slices.Contains(compare, c.Code)
	})
	if len(compared) < len(compare) {
		return cannotTell(inIdentities, "they were not compared with the database")
	}
	if admin, ok := v.Admin.Get(); ok && admin.ID != "" && "PAR::"+admin.ID != now.ID {
		return violated("the validator app exports the identities of %s, but the participant is %s", now.ID, admin.ID)
	}
	return holds("both are %s, with the same keys", now.ID)
}

func recoveryKeyTested(v *view) answer {
	if a, ok := v.listed(); !ok {
		return a
	}
	s, ok := v.sealed()
	if !ok {
		return cannotTell(inIdentities, "no set of this node holds identities").dueTo(IdentitiesBackedUp)
	}
	tests, ok := v.KeyTests.Get()
	if !ok {
		return cannotTell(inKeyTests, v.KeyTests.Missing()).dueTo(RepositoryReadable)
	}
	var last *record.KeyTest
	for _, t := range tests {
		same := slices.ContainsFunc(v.sets, func(o holdfast.Set) bool {
			return o.ID == t.Set && o.Identities != nil && slices.Equal(o.Identities.Recipients, s.Identities.Recipients)
		})
		relevant := same || t.Content == s.Identities.Content
		if relevant && !t.At.After(v.now.Add(v.Limits.Skew)) && (last == nil || t.At.After(last.At)) {
			last = &t
		}
	}
	switch {
	case last == nil && len(tests) > 0:
		return violated("no key was tested on identities sealed to the recipients of set %s, only on others", s.ID)
	case last == nil:
		return violated("no recovery key was ever tested")
	case v.now.Sub(last.At) > v.Limits.KeyTest:
		return violated("a recovery key was last tested %s ago; "+
			"the limit is %s", span(v.now.Sub(last.At)), span(v.Limits.KeyTest))
	}
	return holds("a recovery key opened the identities of set %s, %s ago", last.Set, span(v.now.Sub(last.At)))
}

// newUsers are the users of the live databases that are missing from the set,
// with the time of their creation where it is known.
func newUsers(then, now holdfast.ParticipantFacts, walletThen, walletNow []string) map[string]time.Time {
	out := map[string]time.Time{}
	created := map[string]time.Time{}
	for _, u := range now.Users {
		if u.Created != nil {
			created[u.ID] = *u.Created
		}
		if !slices.ContainsFunc(then.Users, func(o holdfast.User) bool { return o.ID == u.ID }) {
			out[u.ID] = created[u.ID]
		}
	}
	for _, u := range walletNow {
		if !slices.Contains(walletThen, u) {
			out[u] = created[u] // a wallet user is a ledger API user of the same name
		}
	}
	return out
}

func usersSinceBackup(v *view) answer {
	s, a, ok := v.latest()
	if !ok {
		return a
	}
	c, ok := captured(s)
	if !ok || len(c.Facts.Participant.Users) == 0 {
		return cannotTell(inSetFacts, fmt.Sprintf("set %s records no users", s.ID))
	}
	p, a, ok := v.participant()
	if !ok {
		return a
	}
	var then, now []string
	if live, _, ok := v.live(holdfast.Validator); ok && live.Facts.Validator != nil {
		now = live.Facts.Validator.Users
		for _, c := range s.Parts() {
			if c.Facts.Validator != nil {
				then = c.Facts.Validator.Users
			}
		}
	}
	fresh := newUsers(*c.Facts.Participant, p, then, now)
	names := make([]string, 0, len(fresh))
	var older []string
	for name, created := range fresh {
		names = append(names, name)
		if !created.IsZero() && created.Before(takenAt(s).Add(-v.Limits.Skew)) {
			older = append(older, name)
		}
	}
	slices.Sort(names)
	slices.Sort(older)
	switch {
	case len(older) > 0:
		return violated("older than set %s, but missing from it: %s", s.ID, some(older))
	case len(names) == 0:
		return holds("set %s has every user of the live databases (%d)", s.ID, len(p.Users))
	case v.overdue(s):
		return violated("created since set %s, %s ago: %s", s.ID, span(v.now.Sub(takenAt(s))), some(names)).
			dueTo(PostgresCadence)
	}
	return holds("created since set %s, %s ago, and due in the next: %s", s.ID, span(v.now.Sub(takenAt(s))), some(names))
}

func partiesNotMigrated(v *view) answer {
	admin, ok := v.Admin.Get()
	if !ok {
		return cannotTell(inParties, v.Admin.Missing())
	}
	parties, ok := admin.Parties.Get()
	if !ok {
		return cannotTell(inParties, admin.Parties.Missing())
	}
	var several, external []string
	for _, p := range parties {
		switch {
		case p.External:
			external = append(external, p.ID)
		case p.Participants > 1:
			several = append(several, p.ID)
		}
	}
	var found []string
	if len(external) > 0 {
		found = append(found, fmt.Sprintf("%d external: %s", len(external), some(external)))
	}
	if len(several) > 0 {
		found = append(found, fmt.Sprintf("%d hosted by several participants: %s", len(several), some(several)))
	}
	if len(found) > 0 {
		return violated("of %d parties: %s", len(parties), strings.Join(found, "; "))
	}
	return holds("only this participant hosts the %d parties, and none is external", len(parties))
}

func pruningConfigured(v *view) answer {
	keeps, from, a, ok := v.pruningRetention()
	want := v.Declared.Pruning
	switch {
	case !ok:
		return a
	case v.Declared.NoPruning && keeps > 0:
		return violated("check.pruning is off, but the participant prunes after %s (%s)", span(keeps), from)
	case v.Declared.NoPruning:
		return holds("the participant does not prune, as declared (%s)", from)
	case keeps == 0:
		return violated("there is no pruning schedule (%s)", from)
	case want > 0 && want != keeps:
		return violated("check.pruning is %s, but the participant prunes after %s (%s)", span(want), span(keeps), from)
	}
	return holds("the participant prunes after %s (%s)", span(keeps), from)
}

func postgresSupported(v *view) answer {
	var versions []string
	for _, c := range v.Node.Components {
		live, ok := v.Live[c.Name].Get()
		if !ok {
			return cannotTell(inDatabase, fmt.Sprintf("%s: %s", c.Name, v.Live[c.Name].Missing()))
		}
		major := live.Server.Major()
		switch {
		case major < OldestPostgres || major > NewestPostgres:
			return violated("%s runs Postgres %s; supported versions are %d to %d",
				c.Name, live.Server.Version, OldestPostgres, NewestPostgres)
		case live.Tools != "":
			return violated("%s: %s", c.Name, live.Tools)
		}
		versions = append(versions, fmt.Sprintf("%s runs Postgres %d%s", c.Name, major, inUse(live.Alive)))
	}
	if len(versions) == 0 {
		return cannotTell(inDatabase, "the configuration names no database")
	}
	return holds("%s", strings.Join(versions, ", "))
}

// inUse says who is alive on a database.
func inUse(alive []string) string {
	if len(alive) == 0 {
		return ""
	}
	return ", in use by " + strings.Join(alive, " and ")
}

// databasesCovered judges the servers that are the node's own: what else such a
// one has is gone with the node.
func databasesCovered(v *view) answer {
	beside, ok := v.Beside.Get()
	if !ok {
		return cannotTell(inDatabase, v.Beside.Missing()).dueTo(PostgresSupported)
	}
	list := slices.DeleteFunc(slices.Clone(beside), func(what string) bool {
		return slices.ContainsFunc(v.Declared.NotBackedUp, func(name string) bool {
			return strings.HasPrefix(what, "database "+name+" ") || strings.HasPrefix(what, "role "+name+" ")
		})
	})
	if len(list) > 0 {
		return violated("in no set: %s", strings.Join(list, "; "))
	}
	if declared := len(beside) - len(list); declared > 0 {
		return holds("declared as not backed up: %s", strings.Join(v.Declared.NotBackedUp, ", "))
	}
	return holds("the node's own servers have no other databases and no other roles")
}

// restoreComplete judges what a restore has left that was broken off.
func restoreComplete(v *view) answer {
	found, ok := v.Restore.Get()
	switch {
	case !ok:
		return cannotTell(inDatabase, v.Restore.Missing()).dueTo(PostgresSupported)
	case found != "":
		return violated("%s", found)
	}
	return holds("there is no journal of one, and every live database is open")
}

// clockSane compares with the clocks of other machines. A server on this
// machine has the same clock, so its time proves nothing.
func clockSane(v *view) answer {
	if len(v.future) > 0 {
		s := v.future[len(v.future)-1]
		return violated("set %s ended at %s, in the future: "+
			"this clock was ahead then, or is behind now", s.ID, when(s.Ended.Wall))
	}
	var near, far []string
	compare := func(whose string, ahead time.Duration) {
		if ahead.Abs() > v.Limits.Skew {
			direction := map[bool]string{true: "ahead of", false: "behind"}[ahead > 0]
			far = append(far, fmt.Sprintf("%s is %s %s this machine's", whose, span(ahead.Abs()), direction))
			return
		}
		near = append(near, whose)
	}
	servers := map[string]bool{}
	for _, c := range v.Node.Components {
		if live, ok := v.Live[c.Name].Get(); ok && !live.Local && !servers[live.Where] {
			servers[live.Where] = true
			compare("the clock of "+live.Where, live.Clock)
		}
	}
	for _, s := range v.Scans {
		if ahead, ok := s.Clock.Get(); ok {
			compare("the clock of "+s.URL, ahead)
		}
	}
	switch {
	case len(near)+len(far) == 0:
		return cannotTell(inClock, "every server that answers runs on this machine")
	case len(far) > len(near):
		return violated("%s", some(far))
	case len(far) > 0:
		return holds("within %s of %d other clocks; not trusted: %s", span(v.Limits.Skew), len(near), some(far))
	}
	return holds("within %s of %s", span(v.Limits.Skew), some(near))
}

func dataOutlivesStop(v *view) answer { return found(v.Data, inContainers) }

func oneProgramAlive(v *view) answer { return found(v.Alive, inSessions) }

// found is the answer of what was judged where it was observed.
func found(f holdfast.Observed[holdfast.Finding], where input) answer {
	seen, ok := f.Get()
	switch {
	case !ok:
		return cannotTell(where, f.Missing())
	case seen.Verdict == holdfast.Violated:
		return violated("%s", seen.Evidence)
	}
	return holds("%s", seen.Evidence)
}
