// Package load is the users of an application: it sends the requests of a
// campaign.Plan, at the times of the plan, whatever becomes of them.
//
// The loop is open. A request is sent when it is due, on a connection of its own
// if none is free, and not when an earlier one has been answered; and its latency
// counts from the moment at which it was due. So a server that stands still for
// half a second is seen as slow by everybody who would have come in that time.
//
// What the generator itself adds is reported, not hidden: how late requests were
// sent, and how many were not sent at all because too many were under way.
package load
