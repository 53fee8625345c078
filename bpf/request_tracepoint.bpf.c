//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks, first choice: BTF tracepoints of the socket layer, Linux 6.3
 * (6e6eda44b939). They see every way to read and write a socket but splice(2).
 */
#include "request.bpf.h"

SEC("tp_btf/sock_recv_length")
int BPF_PROG(request_receive, struct sock *sk, int ret, int flags)
{
	if (ret > 0 && !(flags & MSG_PEEK))
		on_transfer(sk, TURN_RECEIVED);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(request_send, struct sock *sk, int ret, int flags)
{
	if (ret > 0)
		on_transfer(sk, TURN_SENT);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
