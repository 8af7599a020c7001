// Package e2e tests the client contract end to end: raw WebSockets against the
// whole suite in one process. Every frame is compared with a pattern, and nothing
// may come between two expected frames.
package e2e
