package collector

import "time"

// ProbeState says whether a probe works. "Off" and "failed" differ: off is a
// decision (configuration, budget), failed is what the kernel answered.
type ProbeState uint8

// The states of a probe.
const (
	ProbeOff ProbeState = iota
	ProbeOn
	ProbeFailed
)

// String returns the state as shown to people and in JSON.
func (s ProbeState) String() string { return [...]string{"off", "on", "failed"}[s] }

// Probe is the health of one family of BPF programs.
type Probe struct {
	Name     string     // BPF object, "socket"
	Queues   []Queue    // columns that become invalid without it
	Programs []string   // as bpftool prog shows them
	Flavour  string     // how it is hooked: iter, tp_btf, fexit, kretprobe
	State    ProbeState //
	Reason   string     // why it is off or failed; empty when on
	Hz       float64    // reads per second at present
	LastRead time.Time  //
	LastTook time.Duration
	Objects  int           // kernel objects visited by the last read
	CPU      time.Duration // CPU time of all reads or runs so far
	Runs     uint64        // program runs so far; 0 where the kernel does not count them
}

// Loss counts facts dropped for one reason (enum loss_reason, bpf/queues.bpf.h).
type Loss struct {
	Reason string
	Count  uint64
}

// Cost is what Seer itself uses, and what it gave up to stay inside its
// budget (DESIGN.md section 3.3). Shares are of the whole host's CPU, 0..1.
type Cost struct {
	BudgetShare   float64 // the limit
	UsedShare     float64 // measured over the last seconds
	SamplerShare  float64 // the part spent in passes
	ProgramShare  float64 // the part spent in event-driven BPF programs
	ProcessShare  float64 // the part spent in Seer's own process outside passes
	RSSBytes      uint64
	PassHz        float64 // socket passes per second now
	PassHzWanted  float64 // without a budget
	QuietEvery    int     // sockets that were quiet are visited every n-th pass; 1 is always
	SampledShare  float64 // share of the visits to sockets, 10 a second or more, that take a pass; below 1 some ticks repeat the last
	ExactMode     string  // off, on, or why it was dropped
	RelativeError float64 // expected error of a mean depth of 10 over one tick
	GaveUp        []string
}

// Role says which end of a connection a socket is.
type Role uint8

// The roles of a socket.
const (
	RoleUnknown Role = iota
	RoleListener
	RoleServer
	RoleClient
	RoleUnix
)

// String returns the role as shown to people and in JSON.
func (r Role) String() string {
	return [...]string{"unknown", "listener", "server", "client", "unix"}[r]
}
