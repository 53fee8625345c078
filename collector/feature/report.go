package feature

import (
	"errors"
	"fmt"
	"strings"
)

// Options says where to look. The zero value looks at this host.
type Options struct {
	// Root is put before /proc, /sys, /boot and /dev paths. Kernel probes ask
	// the running kernel whatever Root is. Empty means "/".
	Root string
	// DBDir is where the database is or will be. Empty skips the question.
	DBDir string
}

// Report is everything Probe found out about one host.
type Report struct {
	Schema   int          `json:"schema"` // 1
	Object   string       `json:"object"` // "feature"
	Release  string       `json:"release"`
	Arch     string       `json:"arch"`
	CanRun   bool         `json:"can_run"`
	Blockers []string     `json:"blockers"` // why it cannot, one reason each
	Flavour  Flavour      `json:"flavour"`  // request hooks; empty where none attaches
	Queues   []QueueState `json:"queues"`
	Items    []Item       `json:"rows"`
}

// QueueState says whether one queue will be measured here.
type QueueState struct {
	Queue   string  `json:"queue"`
	Verdict Verdict `json:"verdict"`
	Because string  `json:"because,omitempty"` // the items that stand in the way
}

// queueNames are the columns of collector.Queues, in that order. They are
// repeated here because collector imports this package; a test compares them.
var queueNames = []string{nicRx, synQueue, acceptBacklog, receiveQueue, epollReady, outstanding,
	downstream, sendQueue, nicTx, runQueue, blockIO, unreadRequests}

const (
	nicRx          = "nic_rx"
	synQueue       = "syn_queue"
	acceptBacklog  = "accept_backlog"
	receiveQueue   = "receive_queue"
	epollReady     = "epoll_ready"
	outstanding    = "outstanding"
	downstream     = "downstream"
	sendQueue      = "send_queue"
	nicTx          = "nic_tx"
	runQueue       = "run_queue"
	blockIO        = "block_io"
	unreadRequests = "unread_requests"
)

// socketQueues are read by the walk over tracked sockets.
var socketQueues = []string{synQueue, acceptBacklog, receiveQueue, outstanding, downstream,
	sendQueue, nicTx, unreadRequests}

// nameSocketWalk is the item for a fault of the kernel in the walk over sockets.
const nameSocketWalk = "safe socket walk"

// nameTables is the item for what does without iterators over maps.
const nameTables = "tables on demand"

// ErrCannotRun is wrapped by the error of Report.Err.
var ErrCannotRun = errors.New("seer cannot run here")

// Err returns nil where Seer can run, or an error that wraps ErrCannotRun and
// gives every reason.
func (r *Report) Err() error {
	if r.CanRun {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrCannotRun, strings.Join(r.Blockers, "; "))
}

// Item returns the item called name, or nil.
func (r *Report) Item(name string) *Item {
	for i := range r.Items {
		if r.Items[i].Name == name {
			return &r.Items[i]
		}
	}
	return nil
}

// conclude derives the queues, the blockers and the verdict on the host from
// the items.
func (r *Report) conclude() {
	r.Queues = r.Queues[:0]
	works := 0
	for _, queue := range queueNames {
		state := QueueState{Queue: queue, Verdict: Works}
		var because []string
		for i := range r.Items {
			item := &r.Items[i]
			if item.harmless() || !item.takes(queue) {
				continue
			}
			because = append(because, item.Name)
			// One certain loss outweighs any number of open questions.
			if state.Verdict != Missing {
				state.Verdict = item.Verdict
			}
		}
		state.Because = strings.Join(because, ", ")
		if state.Verdict == Works {
			works++
		}
		r.Queues = append(r.Queues, state)
	}
	// An open question is not a reason beside a known one: without CAP_BPF
	// nobody knows whether bpf(2) works, and CAP_BPF is what to see to.
	r.Blockers = r.required(Missing)
	if len(r.Blockers) == 0 {
		r.Blockers = r.required(Unknown)
	}
	if works == 0 && len(r.Blockers) == 0 {
		r.Blockers = append(r.Blockers, "not one queue can be measured (see what each item loses)")
	}
	r.CanRun = len(r.Blockers) == 0
}

// required gives as reasons the required items with this verdict.
func (r *Report) required(verdict Verdict) []string {
	reasons := []string{}
	for i := range r.Items {
		if item := &r.Items[i]; item.Required && item.Verdict == verdict {
			reasons = append(reasons, item.blocker())
		}
	}
	return reasons
}

func (i *Item) takes(queue string) bool {
	for _, q := range i.Queues {
		if q == queue {
			return true
		}
	}
	return false
}

// blocker is the item as one reason: what, why, what to do.
func (i *Item) blocker() string {
	text := fmt.Sprintf("%s: %s: %s", i.Name, i.Verdict, i.Reason)
	if i.Advice != "" {
		text += ": " + i.Advice
	}
	return text
}
