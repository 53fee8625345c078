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

// RequestRow is what exact mode timed of one container's requests in a tick: how
// long those took whose answer was written, or read, during it. The time is that
// from the first byte of the request to the last of the answer. An answer that goes
// on in the next tick moves its request there to a later bucket, so a count may be
// negative: sums over some ticks are right.
type RequestRow struct {
	Row         int               // index in Tick.Rows
	Served      latency.Histogram // requests that the container answered
	ServedFirst latency.Histogram // the same, to the first byte of the answer
	Called      latency.Histogram // requests that it made of others
}

// OpenRow is how old the requests are that one container has not answered at the
// end of a tick. With it a violation is seen when requests become late, without it
// when late ones end.
type OpenRow struct {
	Row  int // index in Tick.Rows
	Ages latency.Histogram
}

func (r *RequestRow) merge(o *RequestRow) {
	r.Served.Merge(&o.Served)
	r.ServedFirst.Merge(&o.ServedFirst)
	r.Called.Merge(&o.Called)
}

// Tick is one sample of every queue of every container on the host.
//
// A Tick handed to a consumer is valid until the consumer returns; Rows, Requests
// and what they hold are reused for the next tick. Rows are ordered by container
// ID. Containers are never modified once published; a change of name or
// service is published as a new *container.Container with the same ID.
type Tick struct {
	Seq    uint64
	Start  time.Time
	End    time.Time
	Passes int    // socket passes taken during the tick
	Losses uint64 // facts dropped since start, all reasons
	Rows   []Row

	// Requests are those of the containers whose requests are counted exactly now, in
	// the order of Rows, and Open of those of them whose open requests are known too.
	Requests []RequestRow
	Open     []OpenRow
}
