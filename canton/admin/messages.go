package admin

// The methods, by their full names. All of them only read.
const (
	MethodStatus    = "/com.digitalasset.canton.admin.participant.v30.ParticipantStatusService/ParticipantStatus"
	MethodGetID     = "/com.digitalasset.canton.topology.admin.v30.IdentityInitializationService/GetId"
	MethodSchedule  = "/com.digitalasset.canton.admin.participant.v30.PruningService/GetParticipantSchedule"
	MethodConnected = "/com.digitalasset.canton.admin.participant.v30.SynchronizerConnectivityService/ListConnectedSynchronizers"
	MethodParties   = "/com.digitalasset.canton.topology.admin.v30.TopologyManagerReadService/ListPartyToParticipant"
	MethodKeys      = "/com.digitalasset.canton.crypto.admin.v30.VaultService/ListMyKeys"
)

// StatusResponse answers MethodStatus: one of the two is set.
type StatusResponse struct {
	Status         *Status         `pb:"1"`
	NotInitialized *NotInitialized `pb:"2"`
}

// Status is an initialised participant's.
type Status struct {
	Common    *CommonStatus        `pb:"1"`
	Connected []SynchronizerHealth `pb:"2"`
	Active    bool                 `pb:"3"`
}

// CommonStatus is what every Canton node reports.
type CommonStatus struct {
	UID     string    `pb:"1"` // "<hint>::<namespace>"
	Uptime  *Duration `pb:"2"`
	Active  bool      `pb:"4"`
	Version string    `pb:"7"`
}

// The values of SynchronizerHealth.Health.
const (
	Healthy   = 1
	Unhealthy = 2
)

// SynchronizerHealth is one connected synchronizer.
type SynchronizerHealth struct {
	PhysicalID string `pb:"1"`
	Health     int32  `pb:"2"`
}

// NotInitialized is a participant's without an identity.
type NotInitialized struct {
	Active  bool   `pb:"1"`
	Waiting int32  `pb:"2"` // for 1 an id, 2 its topology, 3 initialisation
	Version string `pb:"3"`
}

// IDResponse answers MethodGetID.
type IDResponse struct {
	Initialized bool   `pb:"1"`
	UID         string `pb:"2"`
}

// ScheduleResponse answers MethodSchedule; without a schedule there is none.
type ScheduleResponse struct {
	Schedule *ParticipantSchedule `pb:"1"`
}

// ParticipantSchedule is a participant's pruning schedule.
type ParticipantSchedule struct {
	Schedule       *Schedule `pb:"1"`
	InternallyOnly bool      `pb:"2"`
}

// Schedule says when to prune and how much to keep.
type Schedule struct {
	Cron        string    `pb:"1"`
	MaxDuration *Duration `pb:"2"`
	Retention   *Duration `pb:"3"`
}

// ConnectedResponse answers MethodConnected.
type ConnectedResponse struct {
	Connected []ConnectedSynchronizer `pb:"1"`
}

// ConnectedSynchronizer is a synchronizer the participant is connected to.
type ConnectedSynchronizer struct {
	Alias      string `pb:"1"`
	ID         string `pb:"2"`
	PhysicalID string `pb:"3"`
	Healthy    bool   `pb:"4"`
}

// PartiesRequest is the request of MethodParties.
type PartiesRequest struct {
	Query       *BaseQuery `pb:"1"`
	Party       string     `pb:"2"`
	Participant string     `pb:"3"` // a prefix of "<hint>::<namespace>"
}

// AddReplace is the BaseQuery.Operation of what is in force, rather than
// removed.
const AddReplace = 1

// BaseQuery says which topology to read.
type BaseQuery struct {
	Store     *StoreID `pb:"1"`
	Operation int32    `pb:"3"`
	Head      *Empty   `pb:"6"`
}

// StoreID is the topology store of a synchronizer.
type StoreID struct {
	Synchronizer *SynchronizerID `pb:"2"`
}

// SynchronizerID is a logical or a physical id.
type SynchronizerID struct {
	ID         string `pb:"1"`
	PhysicalID string `pb:"2"`
}

// PartiesResponse answers MethodParties. The results are field 2, not 1.
type PartiesResponse struct {
	Results []PartyResult `pb:"2"`
}

// PartyResult is one party and where it is hosted.
type PartyResult struct {
	Item *PartyToParticipant `pb:"2"`
}

// PartyToParticipant is the topology mapping of a party.
type PartyToParticipant struct {
	Party        string               `pb:"1"`
	Threshold    int32                `pb:"2"`
	Participants []HostingParticipant `pb:"3"`
	SigningKeys  *SigningKeys         `pb:"6"` // an external party's own
}

// HostingParticipant hosts a party.
type HostingParticipant struct {
	UID        string `pb:"1"`
	Permission int32  `pb:"2"`
}

// SigningKeys are the keys of a party that signs for itself; only that there
// are some matters here.
type SigningKeys struct {
	Threshold int32 `pb:"2"`
}

// KeysResponse answers MethodKeys: names and fingerprints, never key bytes.
type KeysResponse struct {
	Keys []PrivateKeyMetadata `pb:"1"`
}

// PrivateKeyMetadata is one key of the participant.
type PrivateKeyMetadata struct {
	Public     *PublicKeyWithName `pb:"1"`
	WrapperKey string             `pb:"2"`
	KMSKey     string             `pb:"3"`
}

// PublicKeyWithName is the public part.
type PublicKeyWithName struct {
	Name string `pb:"2"`
}
