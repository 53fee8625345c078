/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What Seer remembers about a socket, shared by the programs that meet it:
 * state changes, discovery, passes and request hooks.
 */
#pragma once

#include "account.bpf.h"

/* Equal to collector.Role. */
enum socket_role {
	ROLE_UNKNOWN,
	ROLE_LISTENER,
	ROLE_SERVER,
	ROLE_CLIENT,
	ROLE_UNIX,
};

/* Who sent the last byte of the conversation (DESIGN.md section 3.1). */
enum socket_turn {
	TURN_NONE,	/* nothing was said yet */
	TURN_RECEIVED,	/* the last was a receive: we owe the next byte */
	TURN_SENT,	/* the last was a send: the peer owes the next byte */
};

enum socket_flag {
	SOCKET_WEAK_OWNER = 1,	/* owner is a guess, the first real holder replaces it */
	SOCKET_SELF = 2,	/* Seer's own: never measured */
	SOCKET_COUNTED = 4,	/* segs_in and segs_out are a base to count from */
	SOCKET_VISITED = 8,	/* copied_seq and snd_una are those of an earlier visit */
	SOCKET_CLOSE_WAIT = 16,	/* was in CLOSE_WAIT when last read */
	SOCKET_HUNG_UP_ON = 32,	/* the peer closed while an answer was owed */
};

/* What the request hooks remember about a connection. Each choice of a container is
 * another number (container_row.exact), so that what was open or said under an
 * earlier one counts for nothing.
 */
struct exact_state {
	__u32 opened_by;	/* choice under which the open request arrived; 0: none open */
	__u32 said_to;		/* choice under which turn was heard */
	__u32 timed_by;		/* choice under which the last answer was timed; 0: it was not */
	__u16 bucket;		/* of its latency to the last byte so far */
	__u16 turn;		/* enum socket_turn */
	__u64 opened_ns;	/* when the open or answered request arrived */
};

/* 136 bytes a socket: in the socket's own local storage, with which it goes, or in
 * a table (tracked.bpf.h). */
struct socket_state {
	__u64 owner;		/* container.ID; 0 until known */
	__u64 pass;		/* last pass that visited it: a second visit is skipped */
	__u32 slot;		/* of owner, verified on use */
	__u8 role;		/* enum socket_role */
	__u8 turn;		/* enum socket_turn, of the passive verdict */
	__u8 flags;		/* enum socket_flag */
	__u8 streams;		/* speaks HTTP/2: stream.bpf.c counts its requests while it follows the owner */
	__u32 phase;		/* random: which passes read it when not all do */
	__u32 quiet;		/* visits since anything moved */
	__u32 receive_bytes;	/* as of the last full visit */
	__u32 send_bytes;
	__u32 nic_tx_bytes;
	__u32 unread_requests;
	/* Up to here all that a pass touches of a socket whose turn it is not: 48 of
	 * the 56 bytes that the kernel's element leaves us of the cache line we begin in. */
	struct exact_state exact;
	__u32 dumped;		/* list of sockets that it is already in */
	__u32 segs_in;		/* data_segs_in at the last visit */
	__u32 segs_out;
	__u32 base_in;		/* data_segs_in when Seer first met it */
	__u32 base_out;
	__u32 requests;		/* min of segments in and out since then */
	__u32 all_segs_in;	/* segs_in, pure ACKs included */
	__u32 confirmed;	/* discovery scan that last found owner holding it */
	__u32 copied_seq;	/* at the last visit, to count the bytes read since */
	__u32 snd_una;		/* and those acknowledged */
	__u32 index;		/* in storage: where its state in the table is, from 1 */
	__u32 pad2;
	__u64 waited_ns;	/* time in which an answer was owed, by visits */
	__u64 visited_ns;	/* the last visit's pass began */
};

/* Whether an answer was owed at the last visit: by us, or by the peer. */
static __always_inline bool waits(const struct socket_state *state)
{
	return state->turn == (state->role == ROLE_CLIENT ? TURN_SENT : TURN_RECEIVED) &&
	       !state->unread_requests;
}

/* Key: socket. Writer: tcp_state, discover, passes, request hooks. Reader: the same.
 * Lives and dies with the socket, so it is bounded by the host's own sockets.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

/* One listening address. v4 addresses are v4-mapped; the wildcard of a v6
 * socket is all zeroes, that of a v4 socket is ::ffff:0.0.0.0.
 */
struct listener_key {
	__be32 address[4];
	__u32 netns;
	__u16 port;
	__u16 pad;
};

struct listener_value {
	__u64 owner;
	__u64 sock;	/* address of the struct sock, to recognise its own close */
};

/* 16,384 listeners: a node of 250 pods with 60 listening ports each.
 * Key: address. Writer: tcp_state, discover. Reader: tcp_state, for the owner
 * of an accepted socket, and discover, for the role of an adopted one.
 */
#define LISTENERS_MAX 16384
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LISTENERS_MAX);
	__type(key, struct listener_key);
	__type(value, struct listener_value);
} listeners SEC(".maps");

/* The socket behind a file of iter/task_file; NULL where it is none. */
static __always_inline struct sock *socket_of(struct file *file)
{
	struct socket *sock;

	if (!file) /* the call after the last one */
		return NULL;
	sock = bpf_sock_from_file(file);
	return sock ? sock->sk : NULL;
}

#define V4_MAPPED_PREFIX 0xffff0000 /* 0000:ffff as a little-endian word */

static __always_inline void local_address(const struct sock *sk, struct listener_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	key->port = BPF_CORE_READ(sk, __sk_common.skc_num);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&key->address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32);
	} else {
		key->address[2] = V4_MAPPED_PREFIX;
		key->address[3] = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	}
}

static __always_inline void remote_address(const struct sock *sk, struct listener_key *key)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	key->port = __builtin_bswap16(BPF_CORE_READ(sk, __sk_common.skc_dport));
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&key->address, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32);
	} else {
		key->address[2] = V4_MAPPED_PREFIX;
		key->address[3] = BPF_CORE_READ(sk, __sk_common.skc_daddr);
	}
}

/* The listener that would have accepted a connection to this local address:
 * the exact address, the v4 wildcard for a v4 or v4-mapped one, the v6 wildcard.
 */
static __always_inline struct listener_value *listener_for(const struct sock *sk)
{
	struct listener_value *found;
	struct listener_key key;

	local_address(sk, &key);
	found = bpf_map_lookup_elem(&listeners, &key);
	if (found)
		return found;
	if (!key.address[0] && !key.address[1] && key.address[2] == V4_MAPPED_PREFIX) {
		key.address[3] = 0;
		found = bpf_map_lookup_elem(&listeners, &key);
		if (found)
			return found;
	}
	key.address[0] = key.address[1] = key.address[2] = key.address[3] = 0;
	return bpf_map_lookup_elem(&listeners, &key);
}

/* The TCP socket whose queues a listening socket has. A Multipath TCP listener,
 * as Go's servers open by default, has none itself but a first subflow with
 * them. The result is an address to read from, which no helper takes.
 */
static __always_inline struct sock *queue_holder(struct sock *sk)
{
	struct mptcp_sock *msk = (void *)sk;

	if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP && bpf_core_type_exists(struct mptcp_sock))
		return BPF_CORE_READ(msk, first);
	return sk;
}

static __always_inline void remember_listener(const struct sock *sk, __u64 owner)
{
	/* Of Multipath TCP the subflow, whose state changes are seen. */
	struct listener_value value = {.owner = owner, .sock = (__u64)queue_holder((void *)sk)};
	struct listener_key key;

	local_address(sk, &key);
	if (bpf_map_update_elem(&listeners, &key, &value, BPF_ANY))
		count_loss(LOSS_LISTENERS_FULL);
}

static __always_inline void forget_listener(const struct sock *sk)
{
	struct listener_value *value;
	struct listener_key key;

	local_address(sk, &key);
	value = bpf_map_lookup_elem(&listeners, &key);
	if (value && value->sock == (__u64)sk)
		bpf_map_delete_elem(&listeners, &key);
}
