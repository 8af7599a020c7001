//go:build !unix

package suite

// lockDataDir does nothing where flock is missing; the listeners' ports still
// keep a second process from starting with the same settings.
func lockDataDir(string) (unlock func(), err error) { return func() {}, nil }
