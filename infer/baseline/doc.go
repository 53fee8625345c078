// Package baseline holds the predictors that a network has to beat (DESIGN.md
// section 6), each a window.Predictor:
//
//   - queue: the deepest queue against its normal depth. What an alert on queue
//     depths is.
//   - utilisation: the same of the run queue and of block I/O alone. It sees a
//     processor or a disk that is short; not locks, leaks, peers that wait, or links.
//   - growth: Little's law against nominal. A service holds as many requests as
//     arrive in the time that one takes; what it holds beyond that, callees' part
//     taken out, it has no explanation for. It is the fallback of a Seer without a
//     model, since all that it needs to know is what is normal.
//   - logistic: a conditional logit. Each service has a score, linear in what its
//     queues, its callees', its callers' and the deepest anywhere show.
//   - trees: gradient-boosted trees over the same.
//
// The last two learn from violations. Their weights are the same for every service,
// but for a bias of the logit, so that a few hundred violations are enough.
package baseline
