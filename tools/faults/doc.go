// Package faults does to a running cluster what networks, kernels and operators do:
// processes are killed, held up and woken, NATS servers lose their leadership, their
// files' last owner or each other, links are cut and delayed, clients repeat and dawdle.
// Meanwhile clients talk, and everything they send and are shown is recorded and judged
// (tools/internal/histories): no acknowledged message may be lost, doubled or reordered.
//
// Every run prints its seed. CONFAB_TEST_SEED repeats one, CONFAB_FAULTS_SEEDS says how
// many there are of each scenario, CONFAB_FAULTS_FOR for how long each at least, and
// CONFAB_TEST_HISTORY where to keep the histories, for tools/histcheck.
//
//	task faults:quick       what CI runs: one seed of each
//	task faults             five seeds of each, for longer
//	task mutations          that it fails when it should
package faults
