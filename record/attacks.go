package record

import (
	"time"

	"holdfast"
)

// Attacks is the record of trying, with the node's credentials, what an attacker
// would try on what is stored. It is stored in the repository.
type Attacks struct {
	At    time.Time `json:"at"`
	Host  string    `json:"host"`
	Tried []Attack  `json:"tried"`
}

// Attack is one of them.
type Attack struct {
	Attack  string           `json:"attack"`
	Verdict holdfast.Verdict `json:"verdict"` // holds: it failed
	Found   string           `json:"found"`
}
