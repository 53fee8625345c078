//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks, last choice: kprobes, where neither BTF tracepoints nor
 * trampolines are to be had. A kprobe may not use socket storage, so this
 * flavour keeps its own table of connections.
 */
#include "headers/pt_regs.h"
#include "exact.bpf.h"

#define MSG_PEEK 2 /* include/linux/socket.h */

struct transfer {
	__u64 sock;
	__u64 skip;	/* a peek: the bytes stay in the queue */
};

/* 16,384 threads inside tcp_recvmsg or tcp_sendmsg at one moment. A return
 * probe does not see the arguments: the entry leaves them here.
 * Key: thread. Writer and reader: this file.
 */
#define TRANSFERS_MAX 16384
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, TRANSFERS_MAX);
	__type(key, __u64);
	__type(value, struct transfer);
} transfers SEC(".maps");

struct connection {
	__u64 owner;
	__u32 slot;
	__u32 role;
	__u32 ports;	/* local and remote: another pair is another connection at this address */
	__u32 pad;
	struct exact_state exact;
};

/* 65,536 connections x 56 bytes. Key: address of the struct sock.
 * Writer and reader: this file; tcp_close deletes.
 */
#define CONNECTIONS_MAX 65536
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CONNECTIONS_MAX);
	__type(key, __u64);
	__type(value, struct connection);
} connections SEC(".maps");

static __always_inline struct connection *connection_of(struct sock *sk)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct connection *connection, fresh = {};
	__u64 key = (__u64)sk;

	fresh.ports = BPF_CORE_READ(sk, __sk_common.skc_num) << 16 |
		      BPF_CORE_READ(sk, __sk_common.skc_dport);
	connection = bpf_map_lookup_elem(&connections, &key);
	if (connection && connection->ports == fresh.ports)
		return connection;
	if (is_self(task))
		return NULL;
	fresh.role = listener_for(sk) ? ROLE_SERVER : ROLE_CLIENT;
	fresh.owner = owner_of(task);
	if (bpf_map_update_elem(&connections, &key, &fresh, BPF_ANY)) {
		count_loss(LOSS_TRANSFERS_FULL);
		return NULL;
	}
	return bpf_map_lookup_elem(&connections, &key);
}

/* The kernel watches a bounded number of calls at once for their return, a
 * kretprobe's maxactive: max(10, 2 x CPUs), before 6.1 one per CPU in most
 * builds. Calls beyond, where many threads wait for bytes, return unseen; perf
 * events can neither raise the bound nor, before 6.7, tell. What such a call
 * left here is met at the thread's next one, and counted.
 */
static __always_inline int enter(struct sock *sk, bool skip)
{
	struct transfer transfer = {.sock = (__u64)sk, .skip = skip};
	__u64 thread = bpf_get_current_pid_tgid();
	struct transfer *unseen;

	unseen = bpf_map_lookup_elem(&transfers, &thread);
	if (unseen) {
		*unseen = transfer;
		count_loss(LOSS_TRANSFERS_FULL);
	} else if (bpf_map_update_elem(&transfers, &thread, &transfer, BPF_ANY)) {
		count_loss(LOSS_TRANSFERS_FULL);
	}
	return 0;
}

static __always_inline int leave(int ret, enum socket_turn turn)
{
	__u64 thread = bpf_get_current_pid_tgid();
	struct connection *connection;
	struct container_row *row;
	struct transfer *transfer;
	struct control *ctl;
	struct sock *sk;
	bool skip;

	transfer = bpf_map_lookup_elem(&transfers, &thread);
	if (!transfer)
		return 0;
	sk = (void *)transfer->sock;
	skip = transfer->skip;
	bpf_map_delete_elem(&transfers, &thread);
	count_run(HOOK_REQUEST);
	ctl = control();
	if (skip || ret <= 0 || !ctl || !ctl->exact)
		return 0;
	connection = connection_of(sk);
	row = connection ? row_of(connection->owner, &connection->slot) : NULL;
	if (!row || !row->exact || says_nothing(&connection->exact, turn, connection->role, row->exact))
		return 0;
	count_turn(&connection->exact, connection->slot, connection->role, turn, row->exact,
		   bpf_ktime_get_ns());
	return 0;
}

/* The flags are the fourth argument since 5.19 and the fifth before
 * (ec095263a965); Go says which. Argument five is zero or MSG_DONTWAIT there.
 */
const volatile bool flags_are_fifth = false;

SEC("kprobe/tcp_recvmsg")
int BPF_KPROBE(request_receive_enter, struct sock *sk, void *msg, unsigned long len, int fourth,
	       int fifth)
{
	return enter(sk, (flags_are_fifth ? fifth : fourth) & MSG_PEEK);
}

SEC("kretprobe/tcp_recvmsg")
int BPF_KRETPROBE(request_receive, int ret)
{
	return leave(ret, TURN_RECEIVED);
}

SEC("kprobe/tcp_sendmsg")
int BPF_KPROBE(request_send_enter, struct sock *sk)
{
	return enter(sk, false);
}

SEC("kretprobe/tcp_sendmsg")
int BPF_KRETPROBE(request_send, int ret)
{
	return leave(ret, TURN_SENT);
}

SEC("kprobe/tcp_close")
int BPF_KPROBE(request_close, struct sock *sk)
{
	struct connection *connection;
	struct container_row *row;
	__u64 key = (__u64)sk;
	struct control *ctl;

	connection = bpf_map_lookup_elem(&connections, &key);
	if (!connection)
		return 0;
	ctl = control();
	row = ctl && ctl->exact ? row_of(connection->owner, &connection->slot) : NULL;
	if (row)
		abandon_request(&connection->exact, connection->slot, connection->role, row->exact,
				bpf_ktime_get_ns());
	bpf_map_delete_elem(&connections, &key);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
