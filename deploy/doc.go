// Package deploy holds what ships Seer, the systemd unit and the Containerfile,
// and the tests that run Seer under exactly what the two grant. It has no code
// of its own: giving up privileges at run time is collector/feature's.
package deploy
