// Package plot draws what an evaluation found: precision against recall, how long
// before the onset alarms come, detection by cause, and who was named for whom.
package plot
