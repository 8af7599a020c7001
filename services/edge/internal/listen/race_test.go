//go:build race

package listen_test

// raceEnabled reports that the race detector slows this test down.
const raceEnabled = true
