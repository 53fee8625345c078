// Package conduct runs a campaign on the testbed: it takes an application up,
// traces it with Seer, sends the plan's load, injects the plan's faults, and keeps
// all of it in a campaign's directory (package campaign).
//
// The truth of a fault is on disk before the fault begins. Samples follow some
// seconds behind, from Seer's database, whose files do not last longer than the
// application. A campaign that was interrupted, or killed at any moment, is gone
// on with: the application is taken up anew, what of the schedule was lost is
// noted in the manifest.
package conduct
