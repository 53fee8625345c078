// Package window is what networks see: the queues of all services over the last
// ticks, normalised, with a mask of what was measured (DESIGN.md section 6).
//
// One example is [queues C, services N, ticks T], the queues outermost and the last
// tick innermost; N are the slots of the model, of which the last may be spare. Its
// label is the slot of the service that starts a violation within the horizon, or N
// for none.
//
// A queue of a layout is a Feature: a statistic of one of collector's queues. A
// service is the sum of its replicas. A Scale standardises each queue of each service
// by the logarithm, with statistics of ticks in which nothing was wrong.
//
// # Labels
//
// A window is known at the end of its last tick, t. If a violation's onset lies in
// (t, t+horizon] the label is the culprit of the fault that explains it, else none.
// Not every window is fit to learn from:
//
//   - One that ends within a violation is left out: what it shows is that users
//     suffer, and nothing is left to predict. So is one within a second after, in the
//     violation's shadow: another onset then would be the same violation.
//   - But a window in the shadow whose horizon reaches the next onset has that label.
//   - One before the onset of a violation whose culprit nobody knows (a load spike, a
//     failed network, no fault) is left out.
//   - One that ends up to a guard of two seconds before the horizon of an onset is left
//     out: a fault may be there already, and to call that normal would teach not to
//     see it. Evaluation does judge these ticks: an alarm that early, and gone again
//     before the horizon, is a false one.
//
// Of windows that are fit and labelled none, a Sample draws a share, by a seed; of the
// others it takes all. Probabilities learnt from it are of a world with more
// violations than there are, so thresholds are chosen on every tick of validation
// runs. Splits are by run, or by time where nothing is wrong, never by window: windows
// overlap. Sequence goes over every fit tick in order.
//
// # Memory
//
// A Run keeps the cells of each tick on disk, 16 bits each: 40 MB an hour for 36
// services. Memory holds one block of ten MB while it is read, and 12 bytes a tick for
// a Sample.
package window
