//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks, second choice: the return of TCP's own functions. */
#include "request.bpf.h"

/* tcp_recvmsg lost its nonblock argument in 5.19 (ec095263a965) and addr_len by
 * 7.3: the loader picks the program whose argument count is the running kernel's.
 */
SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive, struct sock *sk, void *msg, unsigned long len, int flags,
	     int *addr_len, int ret)
{
	if (ret > 0 && !(flags & MSG_PEEK))
		on_transfer(sk, TURN_RECEIVED);
	return 0;
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive_nonblock, struct sock *sk, void *msg, unsigned long len, int nonblock,
	     int flags, int *addr_len, int ret)
{
	if (ret > 0 && !(flags & MSG_PEEK))
		on_transfer(sk, TURN_RECEIVED);
	return 0;
}

SEC("fexit/tcp_recvmsg")
int BPF_PROG(request_receive_bare, struct sock *sk, void *msg, unsigned long len, int flags, int ret)
{
	if (ret > 0 && !(flags & MSG_PEEK))
		on_transfer(sk, TURN_RECEIVED);
	return 0;
}

SEC("fexit/tcp_sendmsg")
int BPF_PROG(request_send, struct sock *sk, void *msg, unsigned long size, int ret)
{
	if (ret > 0)
		on_transfer(sk, TURN_SENT);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
