package api

import "encoding/json"

// Schema is the version of every document that inspect -j prints and the
// control socket serves. Fields are added freely; a change of meaning or a
// removal is a new version.
const Schema = 1

// Document is the answer to one question (DESIGN.md section 10).
type Document struct {
	Schema int             `json:"schema"`
	Object string          `json:"object"`
	TickMS float64         `json:"tick_ms"`
	Losses uint64          `json:"losses"`
	Rows   json.RawMessage `json:"rows"`

	// Cost and LossRows come with the object probe only.
	Cost     *CostRow  `json:"cost,omitempty"`
	LossRows []LossRow `json:"loss_reasons,omitempty"`

	// Promises come with the object violation, where targets are watched.
	Promises []PromiseRow `json:"promises,omitempty"`
}

// ContainerRow is one container, with the names its runtime gave it.
type ContainerRow struct {
	Container string `json:"container"`
	Service   string `json:"service"`
	CgroupID  uint64 `json:"cgroup_id"` // as stat(1) shows it, without marks; exact as a float64
	ID        string `json:"id"`        // as the selector `cgroup ID` accepts it; marks cgroup v1 ids
	Runtime   string `json:"runtime"`
	RuntimeID string `json:"runtime_id,omitempty"`
	Pod       string `json:"pod,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Image     string `json:"image,omitempty"`
	Unit      string `json:"unit,omitempty"`
	Path      string `json:"path"`
	Sockets   int    `json:"sockets"`
	CloseWait int    `json:"close_wait"` // of these, closed by the peer and not by the container
}

// QueueRow is one queue of one container over the last tick.
type QueueRow struct {
	Container  string   `json:"container"`
	Service    string   `json:"service"`
	CgroupID   uint64   `json:"cgroup_id"`
	Queue      string   `json:"queue"`
	Unit       string   `json:"unit"`
	Depth      float64  `json:"depth"`
	Mean       float64  `json:"mean"`
	Max        float64  `json:"max"`
	Limit      *float64 `json:"limit"` // null where none
	Arrivals   float64  `json:"arrivals"`
	Departures float64  `json:"departures"`
	WaitMS     float64  `json:"wait_ms"`
	SinceMS    float64  `json:"since_ms"` // not empty for so long, at most the history kept; 0 when empty
	Valid      bool     `json:"valid"`
	Reason     string   `json:"reason,omitempty"` // why it is not valid
}

// ServiceRow is one service: the sum over its containers on this host.
type ServiceRow struct {
	Service    string         `json:"service"`
	Containers []string       `json:"containers"`
	Sockets    int            `json:"sockets"`
	CloseWait  int            `json:"close_wait"`
	Queues     []ServiceQueue `json:"queues"` // in column order
}

// ServiceQueue is one queue of a service, summed over the containers in which
// it was measured; Valid is false when there was none.
type ServiceQueue struct {
	Queue      string  `json:"queue"`
	Unit       string  `json:"unit"`
	Depth      float64 `json:"depth"`
	Mean       float64 `json:"mean"`
	Arrivals   float64 `json:"arrivals"`
	Departures float64 `json:"departures"`
	Valid      bool    `json:"valid"`
}

// SocketRow is one tracked socket, listed when asked.
type SocketRow struct {
	Container          string `json:"container"`
	Service            string `json:"service"`
	CgroupID           uint64 `json:"cgroup_id"`
	Role               string `json:"role"`
	State              string `json:"state"`
	Local              string `json:"local,omitempty"` // address:port; empty for unix sockets
	Remote             string `json:"remote,omitempty"`
	NetNS              uint32 `json:"netns"`
	Inode              uint64 `json:"inode"`
	ReceiveBytes       uint64 `json:"receive_bytes"`
	SendBytes          uint64 `json:"send_bytes"`
	NICTxBytes         uint64 `json:"nic_tx_bytes"`
	Outstanding        bool   `json:"outstanding"`
	Downstream         bool   `json:"downstream"`
	AcceptBacklog      uint32 `json:"accept_backlog"`
	AcceptBacklogLimit uint32 `json:"accept_backlog_limit"`
	SYNQueue           uint32 `json:"syn_queue"`
	Requests           uint64 `json:"requests"`
}

// EdgeRow is the connections from one container to one port of another, listed
// when asked (collector.Edge). A peer outside this host has the server
// "external" and no cgroup.
type EdgeRow struct {
	Client         string `json:"client"`
	ClientService  string `json:"client_service"`
	ClientCgroupID uint64 `json:"client_cgroup_id"`
	Server         string `json:"server"`
	ServerService  string `json:"server_service"`
	ServerCgroupID uint64 `json:"server_cgroup_id"`
	Protocol       string `json:"protocol"` // tcp
	Port           uint16 `json:"port"`
	Connections    int    `json:"connections"`
	Waiting        int    `json:"waiting"`  // of these, for an answer now
	Requests       uint64 `json:"requests"` // answered on these since Seer knows them
}

// ProbeRow is the health and cost of one family of BPF programs.
type ProbeRow struct {
	Probe      string   `json:"probe"`
	State      string   `json:"state"` // on, off, failed
	Reason     string   `json:"reason,omitempty"`
	Flavour    string   `json:"flavour"`
	Queues     []string `json:"queues"`
	Programs   []string `json:"programs"`
	ReadsHz    float64  `json:"reads_hz"`
	LastRead   string   `json:"last_read,omitempty"` // RFC 3339
	LastTookMS float64  `json:"last_took_ms"`
	Objects    int      `json:"objects"`
	CPUSeconds float64  `json:"cpu_seconds"`
	Runs       uint64   `json:"runs"`
}

// CostRow is what Seer itself uses and gave up; shares are of the host's CPU,
// 0..1 (collector.Cost).
type CostRow struct {
	BudgetShare   float64  `json:"budget_share"`
	UsedShare     float64  `json:"used_share"`
	SamplerShare  float64  `json:"sampler_share"`
	ProgramShare  float64  `json:"program_share"`
	ProcessShare  float64  `json:"process_share"`
	RSSBytes      uint64   `json:"rss_bytes"`
	PassHz        float64  `json:"pass_hz"`
	PassHzWanted  float64  `json:"pass_hz_wanted"`
	QuietEvery    int      `json:"quiet_every"`
	SampledShare  float64  `json:"sampled_share"`
	ExactMode     string   `json:"exact_mode"`
	RelativeError float64  `json:"relative_error"` // expected, of a mean depth of 10 over one tick
	GaveUp        []string `json:"gave_up"`
}

// LossRow counts facts dropped for one reason since Seer started.
type LossRow struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}
