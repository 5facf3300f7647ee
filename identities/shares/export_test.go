package shares

// Forged is a share with another value under the same name.
func Forged(s Share) Share {
	s.value = curve.NewScalar().Add(s.value, curve.NewScalar().SetUint64(1))
	return s
}
