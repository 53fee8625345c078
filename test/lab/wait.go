//go:build linux

package lab

import "time"

// Deadline bounds every wait of the lab. It is generous: the slowest machine
// is an emulated one, and a wait ends as soon as its condition holds.
const Deadline = 60 * time.Second

// Wait polls cond until it holds and fails the test when it does not within
// Deadline. The text that cond returns is what it saw last, for the message.
func Wait(t TB, what string, cond func() (ok bool, saw string)) {
	t.Helper()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	end := time.After(Deadline)
	for {
		ok, saw := cond()
		if ok {
			return
		}
		select {
		case <-poll.C:
		case <-t.Context().Done():
			t.Fatalf("wait for %s: %v; last seen: %s", what, t.Context().Err(), saw)
			return
		case <-end:
			t.Fatalf("wait for %s: not within %s; last seen: %s", what, Deadline, saw)
			return
		}
	}
}
