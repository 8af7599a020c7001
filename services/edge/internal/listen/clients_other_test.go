//go:build !linux

package listen_test

// clientsMain: the benchmarks measure Linux.
func clientsMain() {}
