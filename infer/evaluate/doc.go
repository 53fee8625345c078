// Package evaluate judges predictors by what operators would see of them: alarms,
// matched with the violations of runs that the predictor has not seen (DESIGN.md
// section 1).
//
// A violation is detected by an alarm in [onset - horizon', onset - a], where a is the
// reaction time: an alarm that comes later leaves no time to act, and is a miss. An
// alarm that stands since before the interval counts. Its culprit is the one that the
// last alarm in the interval named: what an actuator would have known. Lead is the
// time from the first alarm in the interval to the onset, so at most horizon'.
//
// An episode (see package alarm) that begins outside all violations, and more than a
// second after the last, is false unless an onset comes during it or within horizon'
// after its end. One that begins within a violation is neither right nor false: it
// says what users feel already. Shares of false alarms leave those out.
//
// Some violations cannot be detected except by luck: the fault that explains them
// begins so shortly before the onset that no tick ends in between in time. Possible
// counts the others. No model can be better than that, and a model that is has been
// lucky, or has seen what it should not.
//
// A violation of a load spike or of a failed network has no culprit: it counts for
// detection, not for culprits.
package evaluate
