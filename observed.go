package holdfast

// Observed is one input of a judgement: a value, or why there is none. The
// zero value is an input that nobody looked for, so that a forgotten one can
// never pass for a good one.
type Observed[T any] struct {
	value   T
	known   bool
	missing string
}

// Known is an input that was observed.
func Known[T any](value T) Observed[T] { return Observed[T]{value: value, known: true} }

// Unknown is an input that could not be had, and why.
func Unknown[T any](why string) Observed[T] { return Observed[T]{missing: why} }

// Observe is what a reading gave: its value, or its error as the reason.
func Observe[T any](value T, err error) Observed[T] {
	if err != nil {
		return Unknown[T](err.Error())
	}
	return Known(value)
}

// Get returns the value and whether there is one.
func (o Observed[T]) Get() (T, bool) { return o.value, o.known }

// Missing says why there is no value; "" when there is one.
func (o Observed[T]) Missing() string {
	switch {
	case o.known:
		return ""
	case o.missing == "":
		return "nobody looked for it"
	}
	return o.missing
}
