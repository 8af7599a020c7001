// Package sim runs the whole suite (edges, rooms, ratelimits, a monitor, a nats-server with
// JetStream, and clients) in one bubble of testing/synctest: with virtual time, without sockets,
// and under a schedule of faults that a seed decides. A minute of the suite takes about a second.
//
//	task sim                     as CI runs it: 500 seeds, or 3 minutes
//	task sim -- -seeds 20000     a night
//	task sim -- -seed 17 -log    one seed, with its steps and what the services logged
//
// After the last fault everything must agree again: what clients received and what is stored,
// who is shown in a room and who is connected, the statistics and the truth. What is checked is
// in check_test.go; docs/guarantees.md says what is promised.
//
// A seed decides the steps, not the order in which goroutines run, so a failing seed may pass
// when it is run again. The test removes the steps that a failure does not need, and prints what
// is left: task sim -- -steps "..." runs that.
//
// The nats-server is a single one: routes between servers need sockets. What needs three is in
// tools/faults.
package sim
