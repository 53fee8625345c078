package collector

import (
	"time"

	"seer/bpf"
)

// hooks is what the event-driven programs run and cost, by enum hook_id.
//
// The kernel can time programs itself, but only for a process that keeps
// CAP_SYS_ADMIN, and by slowing every program of the host. So the programs count
// their runs, and the cost of one run is a constant.
type hooks [bpf.SocketHookIdHOOK_MAX]hook

type hook struct {
	runs      uint64 // since start
	perSecond float64
	spent     time.Duration // since the last reading
}

// hookCost is about the CPU time of one run: rounded from what `bpftool prog`
// shows with kernel.bpf_stats_enabled=1 on Linux 6.18, tcp_state less a guess at
// what its early returns save; a request's from test/bench/overhead -events,
// less the clock (docs/RESULTS.md).
var hookCost = [bpf.SocketHookIdHOOK_MAX]time.Duration{
	bpf.SocketHookIdHOOK_TCP_STATE: 600 * time.Nanosecond,
	bpf.SocketHookIdHOOK_BLOCK_IO:  1200 * time.Nanosecond,
	bpf.SocketHookIdHOOK_REQUEST:   100 * time.Nanosecond,
	bpf.SocketHookIdHOOK_STREAM:    400 * time.Nanosecond,
}

// read takes what was run since the last reading, wall ago.
func (h *hooks) read(c *Collector, wall time.Duration) {
	for id := range h {
		var perCPU []uint64
		if err := c.programs.shared["hook_runs"].Lookup(uint32(id), &perCPU); err != nil {
			c.log.Error("read hook_runs", "hook", id, "err", err)
			continue
		}
		var runs uint64
		for _, n := range perCPU {
			runs += n
		}
		since := runs - h[id].runs
		cost := hookCost[id]
		if bpf.SocketHookId(id) == bpf.SocketHookIdHOOK_REQUEST {
			cost += c.programs.stamps.clockCost()
		}
		h[id] = hook{
			runs:      runs,
			perSecond: float64(since) / wall.Seconds(),
			spent:     time.Duration(since) * cost,
		}
	}
}
