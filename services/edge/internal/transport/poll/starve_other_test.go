//go:build !unix

package poll_test

// childMain: descriptor limits are a matter of Unix.
func childMain() {}
