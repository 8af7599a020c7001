package code

import (
	"math/rand/v2"
	"strconv"
)

// NewRef returns a short random id for [Error.Ref], which a person can read out. It is
// not a secret.
func NewRef() string { return strconv.FormatUint(rand.Uint64()>>14, 36) }
