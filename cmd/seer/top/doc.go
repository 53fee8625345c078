// Package top is the terminal behind "seer top": every container's queues, live.
//
// Contract:
//
//   - It shows what a Feed delivers and computes nothing about the host
//     itself. A Feed is the running Seer's control socket, or a Seer inside
//     this process when none runs (LocalFeed).
//   - Numbers cover one interval (1 s unless --interval says otherwise), never
//     one tick: depth columns are means over it, rates are per second. One
//     column of a trend is the largest tick mean of one interval, so that a
//     spike of a single tick stays visible.
//   - A queue that was not measured is "-", never 0. A service of which only
//     some containers were measured shows a lower bound, "12+".
//   - A Seer that goes away does not end it: it says so and reconnects.
//   - One goroutine owns the model and the screen; others only send to it.
//     Everything but ui.go and feed.go is a pure function of its input.
//
// Life of one frame: Feed -> follower -> recorder (ticks to intervals,
// histories) -> view (filter, sort, selection) -> grid (one screenful of
// text) -> tcell, which writes only the cells that changed.
package top
