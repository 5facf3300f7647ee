package holdfast

// IdentityFacts are what a set records about a node's identities dump. The
// dump itself, which holds private keys, is stored sealed; nothing here is
// secret.
type IdentityFacts struct {
	ID         string          `json:"id"` // "PAR::<identifier>::1220..."
	Version    string          `json:"version,omitempty"`
	KMS        bool            `json:"kms"` // the keys are in a KMS; the dump holds only their names
	Keys       []IdentityKey   `json:"keys"`
	Content    string          `json:"content"`     // SHA-256, in hex, of what matters in the dump
	SealedFile string          `json:"sealed_file"` // within the set
	Recipients []string        `json:"recipients"`  // who can open it (age)
	Kept       []string        `json:"kept,omitempty"`
	Checks     []IdentityCheck `json:"checks"`
}

// IdentityKey names one key of the dump, never its bytes.
type IdentityKey struct {
	Name        string `json:"name,omitempty"`
	Purpose     string `json:"purpose"` // "signing" or "encryption"
	Fingerprint string `json:"fingerprint,omitempty"`
	KMSKey      string `json:"kms_key,omitempty"`
}

// IdentityCheck is one offline check of a dump and its verdict.
type IdentityCheck struct {
	Code     string  `json:"code"`
	Title    string  `json:"title"`
	Verdict  Verdict `json:"verdict"`
	Evidence string  `json:"evidence"`
}
