// Package plot draws a campaign for people: what the users felt over time, the
// faults behind it, and how deep the queues of a service were meanwhile. Every
// panel has the same time axis, so that causes can be seen left of effects.
//
//	err := plot.Timeline(dir, plot.Options{File: "campaign.png"})
package plot
