/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The time of a transfer without reading a clock, which is the dearest thing
 * that a request hook can do (docs/RESULTS.md). TCP reads it itself when it
 * sends, in tcp_write_xmit(), and when the reader has taken bytes off the queue,
 * in tcp_rcv_space_adjust(), and leaves it in the socket. The second is up to the
 * kernel's release, so Go tries both before it relies on them (stamp.bpf.c).
 */
#pragma once

#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"
#include "headers/bpf/bpf_core_read.h"

/* Linux 6.2 (a35b9af4ec2c), older than the tracepoints. The verifier makes a
 * plain move of it, and loads through its result may fault.
 */
extern void *bpf_rdonly_cast(const void *object, __u32 type) __ksym __weak;

/* CLOCK_MONOTONIC when TCP last read it for this socket; 0 if the kernel keeps
 * no such time. Only for TCP sockets.
 */
static __always_inline __u64 stamp_of(const struct tcp_sock *tp)
{
	return bpf_core_field_exists(tp->tcp_clock_cache) ? tp->tcp_clock_cache : 0;
}

static __always_inline const struct tcp_sock *as_tcp(const struct sock *sk)
{
	return bpf_rdonly_cast(sk, bpf_core_type_id_kernel(struct tcp_sock));
}

/* Whether nothing sits between the caller's bytes and TCP: no kTLS or other
 * upper layer protocol, no sockmap. With one, bytes may move without TCP.
 */
static __always_inline bool is_plain(const struct tcp_sock *tp)
{
	return !((const struct sock *)tp)->sk_user_data && !tp->inet_conn.icsk_ulp_ops;
}

/* When the bytes moved that the caller has just received. */
static __always_inline __u64 received_ns(const struct sock *sk)
{
	const struct tcp_sock *tp = as_tcp(sk);
	__u64 stamp = is_plain(tp) ? stamp_of(tp) : 0;

	return stamp ? stamp : bpf_ktime_get_ns();
}

/* When TCP last sent anything on this socket, unless it paces what it sends: then
 * that would be when the next may leave. A send also takes in what came meanwhile,
 * such as an acknowledgement of what it sent, for which TCP reads the clock again.
 */
static __always_inline __u64 departure_of(const struct tcp_sock *tp)
{
	__u64 stamp = stamp_of(tp);

	return tp->tcp_wstamp_ns < stamp ? tp->tcp_wstamp_ns : stamp;
}

/* When the bytes left that the caller has just sent. If the last of them has, it
 * did so during the call; bytes held back (MSG_MORE, a full window) leave later.
 */
static __always_inline __u64 sent_ns(const struct sock *sk)
{
	const struct tcp_sock *tp = as_tcp(sk);
	__u64 stamp = is_plain(tp) && tp->snd_nxt == tp->write_seq ? departure_of(tp) : 0;

	return stamp ? stamp : bpf_ktime_get_ns();
}
