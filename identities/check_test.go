package identities_test

import (
	"slices"
	"strings"
	"testing"

	"holdfast"
	"holdfast/identities"
	"holdfast/identities/identitiestest"
)

// Each dump with one thing wrong is found by the check that is there for it.
func TestCheck(t *testing.T) {
	type opts = identitiestest.Options
	h, v, q := holdfast.Holds, holdfast.Violated, holdfast.CannotTell
	for _, c := range []struct {
		name     string
		opts     opts
		want     []holdfast.Verdict // checks 1 to 8
		evidence string             // somewhere in the evidence of what does not hold
	}{
		{"a current dump", opts{}, []holdfast.Verdict{h, h, h, h, h, h, h, h}, ""},
		{"an old dump, with public keys", opts{OldLayout: true, Version: "0.3.6"}, []holdfast.Verdict{h, h, h, h, h, h, h, h}, ""},
		{"a dump after two rotations", opts{Rotations: 2}, []holdfast.Verdict{h, h, h, h, h, h, h, h}, ""},
		{"a KMS dump", opts{KMS: true}, []holdfast.Verdict{h, h, h, h, q, h, h, h}, "in a KMS"},
		{"a dump of a later release", opts{Fault: identitiestest.FutureKeys}, []holdfast.Verdict{h, h, h, q, q, h, h, h}, "cannot be recomputed"},
		{"a KMS dump of a later release", opts{KMS: true, Fault: identitiestest.FutureKeys}, []holdfast.Verdict{h, h, h, h, q, h, h, h}, "in a KMS"},
		{"a sequencer's dump", opts{Fault: identitiestest.WrongMember}, []holdfast.Verdict{h, v, h, q, h, v, v, h}, "a sequencer's"},
		{"another namespace", opts{Fault: identitiestest.WrongNamespace}, []holdfast.Verdict{h, h, h, v, h, v, h, h}, "none of its keys hashes"},
		{"another namespace with a KMS", opts{KMS: true, Fault: identitiestest.WrongNamespace}, []holdfast.Verdict{h, h, h, v, q, v, h, h}, "no root delegation's key"},
		{"no delegation", opts{Fault: identitiestest.NoDelegation}, []holdfast.Verdict{h, h, h, h, h, v, h, h}, "no NamespaceDelegation"},
		{"no root delegation", opts{Fault: identitiestest.NoRoot}, []holdfast.Verdict{h, h, h, h, h, v, h, h}, "to the own key"},
		{"no root delegation with a KMS", opts{KMS: true, Fault: identitiestest.NoRoot}, []holdfast.Verdict{h, h, h, v, q, v, h, h}, "to the own key"},
		{"no owner mapping", opts{Fault: identitiestest.NoOwnerMapping}, []holdfast.Verdict{h, h, h, h, h, v, h, h}, "0 OwnerToKeyMappings"},
		{"two owner mappings", opts{Fault: identitiestest.TwoOwnerMappings}, []holdfast.Verdict{h, h, h, h, h, v, h, h}, "2 OwnerToKeyMappings"},
		{"a key in use that is not there", opts{Fault: identitiestest.MissingKey}, []holdfast.Verdict{h, h, h, h, h, v, h, h}, "which the dump lacks"},
		{"a private key under another's name", opts{Fault: identitiestest.SwappedKey}, []holdfast.Verdict{h, h, h, h, v, v, h, v}, "hashes to"},
		{"a damaged namespace key", opts{Fault: identitiestest.BrokenKey}, []holdfast.Verdict{h, h, v, v, q, h, h, v}, "namespace: it is not base64"},
		{"half a snapshot", opts{Fault: identitiestest.BrokenSnapshot}, []holdfast.Verdict{h, h, v, h, h, q, h, h}, "snapshot"},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := identitiestest.New("alice-validator-1", [32]byte{7}, c.opts)
			report := parse(t, made.JSON).Check(database(made))
			var got []holdfast.Verdict
			var evidence []string
			for n, f := range report {
				if f.Number != n+1 || f.Code == "" || f.Title == "" || f.Evidence == "" {
					t.Errorf("an incomplete finding: %+v", f)
				}
				if f.Verdict != holdfast.Holds {
					evidence = append(evidence, f.Evidence)
					if f.Consequence == "" {
						t.Errorf("no consequence: %+v", f)
					}
				}
				got = append(got, f.Verdict)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v\n%s", got, c.want, strings.Join(evidence, "\n"))
			}
			if !strings.Contains(strings.Join(evidence, "\n"), c.evidence) {
				t.Errorf("%q is not in\n%s", c.evidence, strings.Join(evidence, "\n"))
			}
			violated := slices.Contains(c.want, holdfast.Violated)
			if err := report.Err(); (err != nil) != violated || violated && holdfast.ClassOf(err) != holdfast.Violation {
				t.Errorf("the report's error is %v", err)
			}
		})
	}
}

func TestCheckAgainstTheParticipant(t *testing.T) {
	made := identitiestest.New("alice", [32]byte{7}, identitiestest.Options{})
	rotated := identitiestest.New("alice", [32]byte{7}, identitiestest.Options{Rotations: 1})
	kms := identitiestest.New("alice", [32]byte{7}, identitiestest.Options{KMS: true})
	other := identitiestest.New("bob", [32]byte{8}, identitiestest.Options{})
	renamed := identitiestest.New("alice-2", [32]byte{7}, identitiestest.Options{})

	for _, c := range []struct {
		name        string
		dump        identitiestest.Dump
		participant *identities.Participant
		same, keys  holdfast.Verdict
		evidence    string
	}{
		{"nothing to compare with", made, nil, holdfast.CannotTell, holdfast.CannotTell, "unknown"},
		{"only the id is known", made, &identities.Participant{ID: made.ParticipantID}, holdfast.Holds, holdfast.CannotTell, "unknown"},
		{"an id with its prefix", made, &identities.Participant{ID: "PAR::" + made.ParticipantID}, holdfast.Holds, holdfast.CannotTell, "unknown"},
		{"another node's database", made, database(other), holdfast.Violated, holdfast.Violated, "the database of PAR::bob::1220"},
		{"the same namespace under another identifier", made, database(renamed), holdfast.Violated, holdfast.Holds, "re-onboarding"},
		{"a dump from before a rotation", made, database(rotated), holdfast.Holds, holdfast.Violated, "the dump does not"},
		{"a database from before a rotation", rotated, database(made), holdfast.Holds, holdfast.Violated, "the database does not"},
		{"the KMS's keys", kms, database(kms), holdfast.Holds, holdfast.Holds, ""},
		{"a KMS dump, and the database's KMS table not read", kms, &identities.Participant{ID: kms.ParticipantID}, holdfast.Holds, holdfast.CannotTell, "unknown"},
		{"an empty key table", made, &identities.Participant{ID: made.ParticipantID, PrivateKeys: []string{}}, holdfast.Holds, holdfast.Violated, "the database does not"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report := parse(t, c.dump.JSON).Check(c.participant)
			if report[6].Verdict != c.same || report[7].Verdict != c.keys {
				t.Errorf("got %+v\n%+v", report[6], report[7])
			}
			if all := report[6].Evidence + "\n" + report[7].Evidence; !strings.Contains(all, c.evidence) {
				t.Errorf("%q is not in\n%s", c.evidence, all)
			}
		})
	}
}

func TestAReportsVerdictIsItsWorst(t *testing.T) {
	finding := func(v holdfast.Verdict) identities.Finding { return identities.Finding{Verdict: v} }
	h, q, v := finding(holdfast.Holds), finding(holdfast.CannotTell), finding(holdfast.Violated)
	for _, c := range []struct {
		report identities.Report
		want   holdfast.Verdict
	}{
		{identities.Report{h, h}, holdfast.Holds},
		{identities.Report{h, q, h}, holdfast.CannotTell},
		{identities.Report{q, v, q}, holdfast.Violated},
	} {
		if got := c.report.Verdict(); got != c.want {
			t.Errorf("%v: got %s", c.report, got)
		}
	}
}

// database is what the participant's database says in a node with this dump.
func database(d identitiestest.Dump) *identities.Participant {
	p := &identities.Participant{ID: d.ParticipantID, PrivateKeys: []string{}, KMSKeys: []string{}}
	for _, k := range d.Keys {
		if k.KMSKeyID != "" {
			p.KMSKeys = append(p.KMSKeys, k.KMSKeyID)
		} else {
			p.PrivateKeys = append(p.PrivateKeys, k.Fingerprint)
		}
	}
	return p
}
