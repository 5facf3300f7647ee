package verify

import (
	"fmt"
	"time"

	"holdfast"
	"holdfast/size"
)

// The events of a verification. In addition, event.Bytes says how much is read.
type (
	// SampleBegan says that a part of the stored data is being read.
	SampleBegan struct {
		Blobs int
		Bytes int64 // about
	}

	// ReadingBegan says that every stored file is being read.
	ReadingBegan struct {
		Files int
		Bytes int64 // about
	}

	// FaultRepairBegan says that blobs that belong to no set are being
	// repaired: the repository is opened and maintained with them.
	FaultRepairBegan struct{ Blobs int }

	// RepairBegan says that damaged pieces of sets are being repaired.
	RepairBegan struct{ Pieces int }

	// Ended says what a verification found.
	Ended struct {
		Level   Level
		Set     holdfast.SetID // "" for all
		Verdict holdfast.Verdict
		Bytes   int64 // read
		Took    time.Duration
	}
)

func (e SampleBegan) String() string { return "read a sample of " + size.Of(e.Bytes) }

func (e ReadingBegan) String() string {
	return fmt.Sprintf("read %s, about %s", countOf(e.Files, "file"), size.Of(e.Bytes))
}

func (e FaultRepairBegan) String() string {
	return fmt.Sprintf("repair %s that the repository is opened and maintained with", countOf(e.Blobs, "blob"))
}

func (e RepairBegan) String() string { return "repair " + countOf(e.Pieces, "damaged piece") }

func (e Ended) String() string {
	return fmt.Sprintf("verified (%s): %s, %s read in %v", e.Level, e.Verdict, size.Of(e.Bytes),
		e.Took.Round(time.Millisecond))
}
