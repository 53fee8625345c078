//go:build ignore
/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Request hooks, first choice: BTF tracepoints of the socket layer, Linux 6.3
 * (6e6eda44b939). They see every way to read and write a socket but splice(2).
 */
#include "request.bpf.h"
#include "stamp.bpf.h"

/* Whether TCP's own time can be used, as Go found. Set before loading. */
const volatile bool receive_is_stamped = false;
const volatile bool send_is_stamped = false;

/* Keeps these types in BTF, for Go. */
struct span_record *unused_span_record __attribute__((unused));
enum request_event *unused_request_event __attribute__((unused));

SEC("tp_btf/sock_recv_length")
int BPF_PROG(request_receive, struct sock *sk, int ret, int flags)
{
	struct socket_state *state;
	__u32 chosen;

	if (!takes_bytes(ret, flags))
		return 0;
	state = turned(sk, TURN_RECEIVED, &chosen);
	if (state)
		count_transfer(sk, state, TURN_RECEIVED, chosen, ret,
			       receive_is_stamped && !(flags & MSG_OOB) ? received_ns(sk) : bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(request_send, struct sock *sk, int ret, int flags)
{
	struct socket_state *state;
	__u32 chosen;

	if (ret <= 0)
		return 0;
	state = turned(sk, TURN_SENT, &chosen);
	if (state)
		count_transfer(sk, state, TURN_SENT, chosen, ret,
			       send_is_stamped ? sent_ns(sk) : bpf_ktime_get_ns());
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
