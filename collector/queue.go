package collector

// Queue is the column of one queue in every sample, model input and file.
//
// The values equal enum queue_id in bpf/queues.bpf.h; a test holds the two
// together. Append only: a trained model addresses columns by position.
type Queue uint8

// The queues, in model column order.
const (
	QueueNICRx Queue = iota
	QueueSYN
	QueueAcceptBacklog
	QueueReceive
	QueueEpollReady
	QueueOutstanding
	QueueDownstream
	QueueSend
	QueueNICTx
	QueueRun
	QueueBlockIO
	QueueUnreadRequests

	NumQueues = int(iota)
)

// Set says which of the paper's input sets a queue belongs to, so that the
// App-only and Network-only models can be trained (paper section 6).
type Set uint8

// The sets of queues.
const (
	SetHost        Set = iota // scheduler and storage
	SetApplication            // requests inside the service
	SetNetwork                // TCP and NIC
)

// String returns the set's name as the command line and JSON show it.
func (s Set) String() string { return [...]string{"host", "application", "network"}[s] }

// QueueInfo describes one queue for people, metrics, files and models.
type QueueInfo struct {
	Name   string // as shown everywhere: "accept_backlog"
	Unit   string // unit of depth and limit: "connections"
	Set    Set
	Source string // the kernel field or hook the depth comes from
	Since  string // first kernel release on which Seer measures it
	Help   string // one sentence, ends in a period
}

// Queues lists every queue in column order. It is the only list: columns,
// metrics, help text, model features and documentation derive from it.
var Queues = [NumQueues]QueueInfo{
	QueueNICRx: {"nic_rx", "packets", SetNetwork, "/proc/net/softnet_stat, column 12: softnet_data backlog (net/core/net-procfs.c)", "5.11",
		"Packets received by the host and not yet at a socket, shared out by the TCP segments each container received."},
	QueueSYN: {"syn_queue", "connections", SetNetwork, "inet_connection_sock.icsk_accept_queue.qlen (include/net/inet_connection_sock.h)", "5.11",
		"TCP handshakes in progress on listening sockets."},
	QueueAcceptBacklog: {"accept_backlog", "connections", SetNetwork, "sock.sk_ack_backlog (include/net/sock.h)", "5.11",
		"Completed TCP connections waiting for accept."},
	QueueReceive: {"receive_queue", "bytes", SetNetwork, "tcp_sock.rcv_nxt - copied_seq (include/linux/tcp.h); unix_sock: sk_receive_queue", "5.11",
		"Bytes received and not yet read by the application."},
	QueueEpollReady: {"epoll_ready", "events", SetApplication, "eventpoll.rdllist (fs/eventpoll.c)", "5.11",
		"Events ready and not yet collected by epoll_wait."},
	QueueOutstanding: {"outstanding", "requests", SetApplication, "who owes the next byte on server sockets (tcp_sock sequence numbers)", "5.11",
		"Requests read by the service and not yet answered."},
	QueueDownstream: {"downstream", "requests", SetApplication, "who owes the next byte on client sockets (tcp_sock sequence numbers)", "5.11",
		"Requests sent to another service and not yet answered."},
	QueueSend: {"send_queue", "bytes", SetNetwork, "tcp_sock.write_seq - snd_una (include/linux/tcp.h)", "5.11",
		"Bytes written by the application and not yet acknowledged by the peer."},
	QueueNICTx: {"nic_tx", "bytes", SetNetwork, "sock.sk_wmem_alloc - 1 (include/net/sock.h)", "5.11",
		"Bytes below TCP, in a queueing discipline or NIC ring, overhead of the packet buffers included."},
	QueueRun: {"run_queue", "threads", SetHost, "task_struct.sched_info (include/linux/sched.h)", "5.11",
		"Threads runnable and waiting for a CPU."},
	QueueBlockIO: {"block_io", "requests", SetHost, "block_rq_issue, block_rq_complete (include/trace/events/block.h)", "5.11",
		"Block requests issued to a device and not completed."},
	QueueUnreadRequests: {"unread_requests", "requests", SetApplication, "TCP sockets with unread bytes; unix_sock: sk_receive_queue.qlen", "5.11",
		"Requests delivered to a socket and not yet read by the service."},
}

// String returns the queue's name.
func (q Queue) String() string { return Queues[q].Name }

// QueueByName returns the queue called name, or false if there is none.
func QueueByName(name string) (Queue, bool) {
	for q := range Queues {
		if Queues[q].Name == name {
			return Queue(q), true
		}
	}
	return 0, false
}
