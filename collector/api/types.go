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

// EdgeRow is the connections from one container to one port of another
// (collector.LiveEdge). A peer outside this host is "external" and has no cgroup;
// edges that did not find room are summed up as "~other".
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
	Waiting        int    `json:"waiting"`    // of these, for an answer now
	Requests       uint64 `json:"requests"`   // answered since Seer knows them, also on connections that have closed
	Failed         uint64 `json:"failed"`     // attempts to connect that nobody accepted
	Unanswered     uint64 `json:"unanswered"` // connections closed while an answer was owed

	OverMS      float64  `json:"over_ms"` // what the following cover
	PerSecond   float64  `json:"per_second"`
	Outstanding float64  `json:"outstanding"` // mean
	LatencyMS   *float64 `json:"latency_ms"`  // mean, as the client sees it; null where none was answered
	ServedMS    *float64 `json:"served_ms"`   // mean, of all that the server answers; null where none was
}

// RequestRow is how long the requests of one container took lately: those that it
// answered, or those that it made of others. Quantiles are null without requests.
type RequestRow struct {
	Container  string   `json:"container"`
	Service    string   `json:"service"`
	CgroupID   uint64   `json:"cgroup_id"`
	Side       string   `json:"side"`     // served, called
	Requests   int64    `json:"requests"` // of the last OverMS
	OverMS     float64  `json:"over_ms"`
	PerSecond  float64  `json:"per_second"`
	P50MS      *float64 `json:"p50_ms"` // from the first byte of the request to the last of the answer
	P90MS      *float64 `json:"p90_ms"`
	P99MS      *float64 `json:"p99_ms"`
	FirstP50MS *float64 `json:"first_p50_ms"` // to the first byte of the answer; served only
	FirstP99MS *float64 `json:"first_p99_ms"`
}

// PacketShareRow is what one container has of the packets that pass a network
// device in one direction: of those coming in what goes to it, of those going out
// what comes from it. In a document of these, tick_ms is how long was sampled.
type PacketShareRow struct {
	Device    string `json:"device"`
	Direction string `json:"direction"` // ingress, egress
	Container string `json:"container"` // or external, or unknown, with a cgroup_id of 0
	Service   string `json:"service"`
	CgroupID  uint64 `json:"cgroup_id"`
	Every     int    `json:"every"`   // one packet in so many was sampled
	Sampled   uint64 `json:"sampled"` // packets
	// Estimates: the exact totals of the device, shared out as the sample is.
	Packets          uint64  `json:"packets"`  // as the device handles them, several segments at once
	Segments         uint64  `json:"segments"` // on the wire
	Bytes            uint64  `json:"bytes"`
	PacketsPerSecond float64 `json:"packets_per_s"`
	BytesPerSecond   float64 `json:"bytes_per_s"`
	Share            float64 `json:"share"`       // of the packets, 0 to 1
	ShareBytes       float64 `json:"share_bytes"` // of the bytes
	ShareError       float64 `json:"share_error"` // standard error of share
	// Weight is the part of the device's incoming packets that are for any
	// container here: by it a depth that is known for the device, or the host
	// (nic_rx), is to be shared out. 0 for who has none.
	Weight float64 `json:"nic_rx_weight"`
}

// PacketRow is one sampled packet.
type PacketRow struct {
	Time        string      `json:"time"` // RFC 3339
	Device      string      `json:"device"`
	Direction   string      `json:"direction"`
	Bytes       int         `json:"bytes"`
	Segments    int         `json:"segments"`
	Container   string      `json:"container"` // or external, or unknown
	Service     string      `json:"service"`
	CgroupID    uint64      `json:"cgroup_id"`
	Protocol    string      `json:"protocol"` // the innermost; the Ethernet type where it is not IP
	Source      string      `json:"source,omitempty"`
	Destination string      `json:"destination,omitempty"`
	Fragment    bool        `json:"fragment,omitempty"` // not the first of its packet
	Flags       string      `json:"tcp_flags,omitempty"`
	VLANs       []uint16    `json:"vlans,omitempty"`
	Tunnels     []TunnelRow `json:"tunnels,omitempty"` // outermost first
	Summary     string      `json:"-"`                 // all this in a line
}

// TunnelRow is one carrier of a packet.
type TunnelRow struct {
	Kind        string `json:"kind"`
	Number      uint32 `json:"number,omitempty"` // VNI, key
	Source      string `json:"source"`
	Destination string `json:"destination"`
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
