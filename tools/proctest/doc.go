// Package proctest runs the built binaries as processes of their own, with a real
// nats-server beside them: exit codes, signals, any order of starting, and kill -9
// of each while clients chat. Whatever was acknowledged must be there at the end.
//
// The slow half runs with CONFAB_TEST_LONG=1, as .ci/run does.
package proctest
