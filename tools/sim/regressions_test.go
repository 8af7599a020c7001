package sim_test

import "testing"

// regressions are seeds that failed, with what was wrong.
var regressions = []struct {
	seed uint64
	was  string
}{
	{28, "a new member was sent that a user has left who was not in its list"},
	{56, "an edge requested the same events with every digest"},
	{65, "a refusal from before the recovery counted against healthy"},
}

// TestRegressions runs the schedules of seeds that failed.
func TestRegressions(t *testing.T) {
	for _, r := range regressions {
		t.Run(r.was, func(t *testing.T) { check(t, newSchedule(r.seed), r.seed) })
	}
}
