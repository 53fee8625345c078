// Package feature finds out what this host lets Seer do, and why not where it
// does not.
//
// Probe returns a Report with one Item per kernel feature, capability, cgroup
// controller and limit. Three answers are kept apart: Works, Missing (the
// kernel or its policy said no) and Unknown (the question could not be put, for
// want of a privilege, a file or time). Nothing is concluded from a version
// number: every kernel feature is a minimal program that is loaded, attached
// and closed again before the probe returns. The first release that had a
// feature appears in the text, as advice.
//
// TracingFlavour answers the question the tracer has at load time: which kind
// of request hook can be attached here.
//
// Drop gives up every capability that a running Seer does not need.
//
// The package leaves nothing attached, mounted or open, starts no goroutine
// that outlives a call (but for a probe that the kernel itself does not let
// return, see bounded), and runs without any privilege, in which case most
// answers are Unknown. It imports nothing of Seer, so that the tracer can
// import it; a test holds its queue names to collector.Queues.
package feature
