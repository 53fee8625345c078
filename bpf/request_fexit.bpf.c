//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks, second choice: the return of TCP's own functions. */
#include "request.bpf.h"

static __always_inline int on_transfer(struct sock *sk, enum socket_turn turn, int ret)
{
	struct socket_state *state;
	__u32 chosen;

	state = turned(sk, turn, &chosen);
	if (state)
		count_transfer(sk, state, turn, chosen, ret, bpf_ktime_get_ns());
	return 0;
}

/* tcp_recvmsg lost its nonblock argument in 5.19 (ec095263a965) and addr_len by
 * 7.3: the loader picks the program whose argument count is the running kernel's.
 */
SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive, struct sock *sk, void *msg, unsigned long len, int flags,
	     int *addr_len, int ret)
{
	return takes_bytes(ret, flags) ? on_transfer(sk, TURN_RECEIVED, ret) : 0;
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive_nonblock, struct sock *sk, void *msg, unsigned long len, int nonblock,
	     int flags, int *addr_len, int ret)
{
	return takes_bytes(ret, flags) ? on_transfer(sk, TURN_RECEIVED, ret) : 0;
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive_bare, struct sock *sk, void *msg, unsigned long len, int flags, int ret)
{
	return takes_bytes(ret, flags) ? on_transfer(sk, TURN_RECEIVED, ret) : 0;
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(request_send, struct sock *sk, void *msg, unsigned long size, int ret)
{
	return ret > 0 ? on_transfer(sk, TURN_SENT, ret) : 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
