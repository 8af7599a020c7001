// Package proctest runs the built binaries as processes of their own, with a real
// nats-server: exit codes, signals, any start order, and kill -9 of each while clients
// chat. Every acknowledged message must be there at the end.
//
// The slow half runs with CONFAB_TEST_LONG=1, as .ci/run does.
package proctest
