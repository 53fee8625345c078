// Package replay feeds a campaign to what watches a live host, tick by tick, and
// says how far its answers are from the truth: violations against those derived
// from the users' own log, labels against what was injected.
package replay
