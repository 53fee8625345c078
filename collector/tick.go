package collector

import (
	"time"

	"seer/collector/container"
	"seer/collector/latency"
)

// Cell is what one tick knows about one queue of one container.
//
// Depth, Mean, Max and Limit are in the queue's own unit (Queues[q].Unit).
// When Valid is false nothing was measured and every other field is zero: a
// queue that was not read is not an empty queue.
type Cell struct {
	Depth      float64       // at the last pass of the tick
	Mean       float64       // over the tick
	Max        float64       // largest depth seen by a pass of the tick
	Limit      float64       // the depth at which arrivals are refused; 0 where none exists
	Arrivals   float64       // entered during the tick
	Departures float64       // left during the tick
	Wait       time.Duration // mean time in the queue of those that left (Little's law where not measured)
	Valid      bool
}

// Row is one container's queues in one tick.
type Row struct {
	Container *container.Container
	Sockets   int // TCP and unix sockets tracked, listeners included
	CloseWait int // of these, closed by the peer and not by the container (TCP CLOSE_WAIT)
	Cells     [NumQueues]Cell
}

// Tick is one sample of every queue of every container on the host.
//
// A Tick handed to a consumer is valid until the consumer returns; Rows and
// what they hold are reused for the next tick. Rows are ordered by container
// ID. Containers are never modified once published; a change of name or
// service is published as a new *container.Container with the same ID.
type Tick struct {
	Seq    uint64
	Start  time.Time
	End    time.Time
	Passes int    // socket passes taken during the tick
	Losses uint64 // facts dropped since start, all reasons
	Rows   []Row

	// Requests are of the containers that exact mode counts, at most one each, and
	// Open of those of them whose open requests are known too.
	Requests []RequestRow
	Open     []OpenRow
}

// RequestRow is what exact mode counted of one container's requests in a tick: how
// long those took that ended in it, from the first byte of a request to the last
// byte of its reply. A reply that goes on moves its request to a later bucket, so
// counts may be negative.
type RequestRow struct {
	Row    int               // index in Tick.Rows
	Served latency.Histogram // requests that the container answered
	Called latency.Histogram // requests that it sent to others
}

// OpenRow is how old the requests are that one container has not answered at the
// end of a tick. With it a violation is seen when requests become late, without it
// when late ones end.
type OpenRow struct {
	Row  int // index in Tick.Rows
	Ages latency.Histogram
}
