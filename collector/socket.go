package collector

import (
	"net/netip"
	"time"

	"seer/collector/container"
)

// Socket is one tracked socket, as the last pass found it.
type Socket struct {
	Container          container.ID
	Role               Role
	State              string // TCP state in ss(8)'s words: ESTAB, LISTEN, CLOSE-WAIT
	Local, Remote      netip.AddrPort
	NetNS              uint32        // inode number of its network namespace
	Inode              uint64        // socket inode, as in /proc/PID/fd; 0 when nobody holds it
	ReceiveBytes       uint64        // receive_queue
	SendBytes          uint64        // send_queue
	NICTxBytes         uint64        // nic_tx
	Outstanding        bool          // server: holds a request it has read and not answered
	Downstream         bool          // client: waits for an answer
	AcceptBacklog      uint32        // listener
	AcceptBacklogLimit uint32        // listener
	SYNQueue           uint32        // listener
	Requests           uint64        // answered since Seer knows it
	Waited             time.Duration // in which an answer was owed, by visits
}
