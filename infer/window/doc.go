// Package window is what networks see: the queues of all services over the last
// ticks, normalised, with a mask of what was measured (DESIGN.md section 6).
//
// One example is [queues C, services N, ticks T], the queues outermost and the last
// tick innermost; N are the slots of the model, of which the last may be spare. Its
// label is the slot of the service that starts a violation within the horizon, or N
// for none.
package window
