//go:build !unix

package testbed

// RaiseFiles does nothing where descriptors have no limit of this kind.
func RaiseFiles() (int, error) { return 1 << 20, nil }
