//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether TCP's own time can be used for transfers: how old is it at the end of
 * a receive and of a send? Go makes one of each, long after anything else
 * happened to the connection, and unloads these programs again.
 */
#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"
#include "headers/bpf/bpf_tracing.h"
#include "stamp.bpf.h"

/* The local port of Go's connection. Set before loading. */
const volatile __u16 stamped_port = 0;

/* Nanoseconds, of the last one of either kind. */
__u64 receive_age_ns = ~0ULL;
__u64 send_age_ns = ~0ULL;

SEC("tp_btf/sock_recv_length")
int BPF_PROG(stamp_receive, struct sock *sk, int ret, int flags)
{
	if (ret > 0 && sk->sk_protocol == IPPROTO_TCP && sk->__sk_common.skc_num == stamped_port)
		receive_age_ns = bpf_ktime_get_ns() - stamp_of(as_tcp(sk));
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(stamp_send, struct sock *sk, int ret, int flags)
{
	if (ret > 0 && sk->sk_protocol == IPPROTO_TCP && sk->__sk_common.skc_num == stamped_port)
		send_age_ns = bpf_ktime_get_ns() - departure_of(as_tcp(sk));
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
