package postgres

import "testing"

// What lies in the schema of an extension that is left out is left out with it.
func TestTheSchemaOfAnExtensionThatIsLeftOut(t *testing.T) {
	const own = "5; 2615 16385 SCHEMA - apps me\n" +
		"7; 3256 16403 POLICY apps t mine me\n8; 0 16390 ROW SECURITY apps t me\n9; 0 0 ACL apps TABLE t me\n" +
		"10; 0 0 ACL - SCHEMA apps me\n11; 0 0 ACL public TABLE p me\n12; 0 0 DEFAULT ACL cron DEFAULT me\n"
	const theirs = "1; 3256 16400 POLICY cron job cron_job_policy me\n2; 0 16399 ROW SECURITY cron job me\n" +
		"3; 0 0 ACL - SCHEMA cron me\n4; 0 0 ACL cron FUNCTION unschedule(bigint) me\n"
	const extension = "6; 3079 16398 EXTENSION - pg_cron \n"
	if got := leaveOutOfAll(theirs+extension+own, []string{"extension pg_cron"}); got != own {
		t.Errorf("without it:\n%s", got)
	}
	if got := leaveOutOfAll(theirs+own, []string{"event trigger note"}); got != theirs+own {
		t.Errorf("without something else:\n%s", got)
	}
}
