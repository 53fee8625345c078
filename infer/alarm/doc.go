// Package alarm turns what a predictor says of each tick into alarms that do not
// flap. The probability that a violation starts is 1 less that of none; its culprit
// is the likeliest service.
//
//   - An alarm begins at the first tick at which the probability reaches the
//     threshold. It does not wait for a second one: lead time is what it is for.
//   - It ends when the probability has stayed below half of the threshold for
//     three ticks, so one that hovers around the threshold is one alarm.
//   - Its culprit changes to another service at once when that one is twice as
//     likely, else when it has been likelier for two ticks in a row. Consecutive
//     ticks of one culprit are one episode: another culprit begins another.
//   - An episode is over after half a minute, and if the probability is still high,
//     the next begins. Who always raises the alarm is wrong twice a minute, not once.
package alarm
