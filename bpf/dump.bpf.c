//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The list of tracked sockets, on demand: `seer inspect socket`. */
#include "tracked.bpf.h"

/* One socket, 120 bytes, written to the reader of the iterator. */
struct socket_record {
	__u64 owner;
	__u64 inode;
	__be32 local[4];	/* v4 addresses are v4-mapped */
	__be32 remote[4];
	__u16 local_port;
	__u16 remote_port;
	__u32 netns;
	__u8 role;
	__u8 turn;
	__u8 tcp_state;
	__u8 v4;
	__u32 receive_bytes;
	__u32 send_bytes;
	__u32 nic_tx_bytes;
	__u32 unread_requests;
	__u32 requests;
	__u32 accept_backlog;
	__u32 accept_backlog_limit;
	__u32 syn_queue;
	__u32 pad;
	__u64 waited_ns;
};

/* Keeps the type in BTF, for Go. */
struct socket_record *unused_socket_record __attribute__((unused));

static __always_inline int dump_socket(struct seq_file *seq, struct sock *sk,
				       struct socket_state *state)
{
	struct socket_record record = {};
	struct control *ctl = control();
	struct tcp_sock *tp;

	if (!ctl || state->flags & SOCKET_SELF)
		return 0;
	/* A walk that pauses for its reader finds its place again by counting,
	 * and meets a socket twice when others have gone meanwhile; a walk over
	 * descriptors meets it as often as it has some. */
	if (state->dumped == ctl->dump)
		return 0;
	state->dumped = ctl->dump;
	record.owner = state->owner;
	record.role = state->role;
	record.turn = state->turn;
	record.receive_bytes = state->receive_bytes;
	record.send_bytes = state->send_bytes;
	record.nic_tx_bytes = state->nic_tx_bytes;
	record.unread_requests = state->unread_requests;
	record.requests = state->requests;
	record.waited_ns = state->waited_ns;
	record.tcp_state = sk->__sk_common.skc_state;
	record.netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	/* As shown by /proc/PID/fd and ss(8); zero before accept(2). */
	record.inode = BPF_CORE_READ(sk, sk_socket, file, f_inode, i_ino);
	if (state->role != ROLE_UNIX) {
		struct listener_key key;

		local_address(sk, &key);
		__builtin_memcpy(record.local, key.address, sizeof(record.local));
		record.local_port = key.port;
		record.remote_port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
		if (sk->__sk_common.skc_family == AF_INET6) {
			BPF_CORE_READ_INTO(&record.remote, sk,
					   __sk_common.skc_v6_daddr.in6_u.u6_addr32);
		} else {
			record.v4 = 1;
			record.remote[2] = V4_MAPPED_PREFIX;
			record.remote[3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
		}
	}
	if (record.tcp_state == TCP_LISTEN) {
		tp = (void *)queue_holder(sk);
		record.accept_backlog_limit = BPF_CORE_READ((struct sock *)tp, sk_max_ack_backlog);
		if (state->role == ROLE_UNIX) {
			record.accept_backlog = sk->sk_receive_queue.qlen;
		} else {
			record.accept_backlog = BPF_CORE_READ((struct sock *)tp, sk_ack_backlog);
			record.syn_queue = BPF_CORE_READ(tp, inet_conn.icsk_accept_queue.qlen.counter);
		}
	}
	if (bpf_seq_write(seq, &record, sizeof(record)))
		count_loss(LOSS_DUMP_FULL);
	return 0;
}

SEC("iter/bpf_sk_storage_map")
int dump_sockets(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	struct socket_state *state = ctx->value;
	struct sock *sk = ctx->sk;

	return sk && state ? dump_socket(ctx->meta->seq, sk, state) : 0;
}

/* The same by descriptor, where sockets are in a table. It does not meet those
 * without one: connections that were not accepted yet, or are closed.
 */
SEC("iter/task_file")
int dump_socket_files(struct bpf_iter__task_file *ctx)
{
	struct socket_state *state;
	struct sock *sk = socket_of(ctx->file);

	if (!sk)
		return 0;
	state = state_of(sk, false);
	return state ? dump_socket(ctx->meta->seq, sk, state) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
