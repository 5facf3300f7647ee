package postgres

import (
	"fmt"
	"time"

	"holdfast"
)

// The events of a dump. In addition, event.Bytes says how much is read.
type (
	// LocksRetried says that the tables could not be locked, or changed
	// meanwhile, and when it is tried again.
	LocksRetried struct {
		Component holdfast.ComponentName
		Try       int   // the one that failed, from 1
		Err       error // nil: the tables changed
		Pause     time.Duration
	}

	// SnapshotTaken says that every table is locked and what is dumped is fixed.
	SnapshotTaken struct {
		Component holdfast.ComponentName
		Tables    int
		Bytes     int64 // an estimate
	}

	// SessionWaits says that a session of the node waits behind a lock of the
	// dump. It comes once for each session and table; Waited is what it has
	// waited by then.
	SessionWaits struct {
		Component holdfast.ComponentName
		holdfast.Wait
	}

	// TableDone says that a table is read.
	TableDone struct {
		Component holdfast.ComponentName
		Table     string
		Rows      int64
		Bytes     int64
	}

	// GaveWay says that a dump let go of everything because a session of the
	// node waited too long for one of its locks.
	GaveWay struct {
		Component holdfast.ComponentName
		holdfast.Wait
		Try   int           // the one that ended, from 1
		Pause time.Duration // before the next one; 0: there is none
	}

	// SchemaChanged says that a dump has to begin again because something that
	// cannot be locked was dropped meanwhile.
	SchemaChanged struct {
		Component holdfast.ComponentName
		Err       error
		Try       int
		Pause     time.Duration
	}
)

// TakenOverDisproved says that something that nothing had changed is not what an
// earlier set has, and that the dump begins again and reads everything.
type TakenOverDisproved struct {
	Component holdfast.ComponentName
	Disproof  holdfast.Disproof
}

func (e TakenOverDisproved) String() string {
	return fmt.Sprintf("capture %s: table %s changed from block %d on, and nothing says so. Everything is read again. "+
		"Sets since %s may be wrong there: `holdfast drill` tries one", e.Component, e.Disproof.Table, e.Disproof.From,
		e.Disproof.ReadAt.Format("2006-01-02 15:04"))
}

// TableProven is an event of a restore: a table was written, read back, and
// equals the manifest.
type TableProven struct {
	Component holdfast.ComponentName
	Table     string
	Rows      int64
	Bytes     int64
}

// SettingLeftOut is an event of a restore: the server did not take something
// that belonged to the database.
type SettingLeftOut struct {
	Component holdfast.ComponentName
	Statement string
	Err       error
}

// GrantLeftOut is an event of a restore: the role of the restore may not grant, or
// revoke, what the capture had.
type GrantLeftOut struct {
	Component holdfast.ComponentName
	Statement string
	Err       error
}

// StatementLeftOut is an event of a restore: the set's globals have a statement
// that no dump writes, and it is not executed.
type StatementLeftOut struct {
	Component holdfast.ComponentName
	Statement string
}

func (e StatementLeftOut) String() string {
	const most = 200
	statement := e.Statement
	if len(statement) > most {
		statement = statement[:most] + "..."
	}
	return fmt.Sprintf("restore %s: left out, since no dump writes it: %s. The set was changed, or a newer Holdfast "+
		"took it", e.Component, statement)
}

func (e GrantLeftOut) String() string {
	return fmt.Sprintf("restore %s: left out, since the restoring role may not: %s: %v. As a superuser there: %s;",
		e.Component, e.Statement, e.Err, e.Statement)
}

func (e SettingLeftOut) String() string {
	return fmt.Sprintf("restore %s: left out, since the server refuses it: %s: %v", e.Component, e.Statement, e.Err)
}

func (e LocksRetried) String() string {
	if e.Err == nil {
		return fmt.Sprintf("capture %s: tables changed before they were locked, trying again in %v", e.Component,
			e.Pause)
	}
	return fmt.Sprintf("capture %s: cannot lock every table yet, trying again in %v: %v", e.Component, e.Pause, e.Err)
}

func (e SnapshotTaken) String() string {
	return fmt.Sprintf("capture %s: snapshot of %d tables taken", e.Component, e.Tables)
}

func (e SessionWaits) String() string {
	return fmt.Sprintf("capture %s: session %d waits for %s on %s", e.Component, e.PID, e.Mode, e.Relation)
}

func (e TableDone) String() string {
	return fmt.Sprintf("capture %s: table %s done, %d rows", e.Component, e.Table, e.Rows)
}

func (e GaveWay) String() string {
	who := "another session"
	if e.PID != 0 {
		who = fmt.Sprintf("session %d", e.PID)
	}
	text := fmt.Sprintf("capture %s: gave way to %s, which waited %v for %s on %s", e.Component, who,
		e.Waited.Round(time.Millisecond), e.Mode, e.Relation)
	return text + again(e.Pause)
}

func (e SchemaChanged) String() string {
	return fmt.Sprintf("capture %s: the schema changed during the dump", e.Component) + again(e.Pause)
}

func (e TableProven) String() string {
	return fmt.Sprintf("restore %s: table %s equals the manifest, %d rows", e.Component, e.Table, e.Rows)
}

func again(pause time.Duration) string {
	if pause == 0 {
		return ""
	}
	return fmt.Sprintf(", trying again in %v", pause)
}
