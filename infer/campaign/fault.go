package campaign

// Cause is what is wrong during a fault.
type Cause string

// The causes, by class, most frequent class first (paper, section 5.4).
const (
	CauseLock           Cause = "lock"            // a lock in the culprit is held for too long
	CauseCycle          Cause = "cycle"           // three services call each other in a circle, synchronously
	CauseDeadlock       Cause = "deadlock"        // workers of the culprit wait for each other until their calls time out
	CausePool           Cause = "pool"            // connections of the culprit leak, its pool runs dry
	CauseSlowDependency Cause = "slow_dependency" // something outside that the culprit waits for is slow
	CausePacketFilter   Cause = "packet_filter"   // a misconfigured rule drops the culprit's packets

	CauseCPU      Cause = "cpu"       // an antagonist computes on the culprit's CPUs
	CauseCPULimit Cause = "cpu_limit" // the culprit's CPU limit is too small

	CauseNetworkShaping Cause = "network_shaping" // the culprit's link has too little bandwidth
	CauseNetworkLoss    Cause = "network_loss"    // the culprit's link loses packets
	CauseNetworkFailure Cause = "network_failure" // every link of the host stops; no culprit

	CauseMemoryBandwidth Cause = "memory_bandwidth" // an antagonist streams through memory and the shared cache
	CauseMemoryCapacity  Cause = "memory_capacity"  // the culprit's memory limit is too small for it

	CauseDisk Cause = "disk" // an antagonist writes to the culprit's disk

	CauseLoadSpike Cause = "load_spike" // users ask for more; the culprit is whoever saturates first
)

// Class groups causes as the paper's figure 12b does.
type Class string

// The classes.
const (
	ClassApplication Class = "application"
	ClassCompute     Class = "compute"
	ClassNetwork     Class = "network"
	ClassMemory      Class = "memory"
	ClassDisk        Class = "disk"
	ClassLoad        Class = "load"
)

// Causes lists every cause and its class, in the order above.
var Causes = []struct {
	Cause Cause
	Class Class
}{
	{CauseLock, ClassApplication},
	{CauseCycle, ClassApplication},
	{CauseDeadlock, ClassApplication},
	{CausePool, ClassApplication},
	{CauseSlowDependency, ClassApplication},
	{CausePacketFilter, ClassApplication},
	{CauseCPU, ClassCompute},
	{CauseCPULimit, ClassCompute},
	{CauseNetworkShaping, ClassNetwork},
	{CauseNetworkLoss, ClassNetwork},
	{CauseNetworkFailure, ClassNetwork},
	{CauseMemoryBandwidth, ClassMemory},
	{CauseMemoryCapacity, ClassMemory},
	{CauseDisk, ClassDisk},
	{CauseLoadSpike, ClassLoad},
}

// Class returns the class of a cause, or "" for a cause that does not exist.
func (c Cause) Class() Class {
	for _, known := range Causes {
		if known.Cause == c {
			return known.Class
		}
	}
	return ""
}

// hasCulprit says whether somebody is to blame by design. During a load spike
// whoever saturates first is the culprit, which only measurement tells.
func (c Cause) hasCulprit() bool { return c != CauseNetworkFailure && c != CauseLoadSpike }

// Fault is one line of truth.jsonl. The fault is there in [OnsetMS, EndMS).
type Fault struct {
	ID         int      `json:"id"` // from 1
	OnsetMS    int64    `json:"onset_ms"`
	EndMS      int64    `json:"end_ms"` // as planned; an interrupted campaign ends sooner
	Cause      Cause    `json:"cause"`
	Culprit    string   `json:"culprit"`              // the service; "" for network_failure and load_spike, which have none
	Antagonist string   `json:"antagonist,omitempty"` // the container that uses the resource up, where there is one
	Intensity  float64  `json:"intensity"`            // in (0, 1]: 1 is as hard as the cause can hit
	Peers      []string `json:"peers,omitempty"`      // of a cycle: the culprit calls the first, that one the second, and that one the culprit
}
