/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Types shared by the BPF programs and, through bpf2go, by Go. */
#pragma once

#include "headers/kernel.h"

/* One value per row of DESIGN.md section 3, in the order of collector.Queues
 * (a test holds the two together). Append only.
 */
enum queue_id {
	QUEUE_NIC_RX,
	QUEUE_SYN,
	QUEUE_ACCEPT_BACKLOG,
	QUEUE_RECEIVE,
	QUEUE_EPOLL_READY,
	QUEUE_OUTSTANDING,
	QUEUE_DOWNSTREAM,
	QUEUE_SEND,
	QUEUE_NIC_TX,
	QUEUE_RUN,
	QUEUE_BLOCK_IO,
	QUEUE_UNREAD_REQUESTS,
	QUEUE_MAX,
};

/* Why a fact was dropped. Every early return that loses one counts it. */
enum loss_reason {
	LOSS_CONTAINERS_FULL,	/* no free row: more than CONTAINERS_MAX containers */
	LOSS_SOCKET_STORAGE,	/* no memory for a socket's state */
	LOSS_TASK_STORAGE,	/* no memory, or contention, for a thread's state */
	LOSS_LISTENERS_FULL,	/* listener table full: accepted sockets wait for discovery */
	LOSS_EPOLLS_FULL,	/* eventpoll table full */
	LOSS_EPOLL_RACE,	/* ready list changed hands while it was counted */
	LOSS_EPOLL_LONG,	/* ready list longer than EPOLL_READY_MAX */
	LOSS_BLOCK_FULL,	/* table of block requests in flight full */
	LOSS_UNIX_LONG,		/* unix receive queue longer than UNIX_SKBS_MAX, bytes scaled up */
	LOSS_DUMP_FULL,		/* a socket did not fit into a dump */
	LOSS_EXACT_FULL,	/* exact mode: more than EXACT_MAX containers */
	LOSS_TRANSFERS_FULL,	/* exact mode by kretprobe: too many threads or connections */
	LOSS_BLOCK_UNSEEN,	/* a block request completed and no program ran: found out later */
	LOSS_SOCKETS_FULL,	/* more than TRACKED_MAX sockets, where they are in a table */
	LOSS_CALLS_FULL,	/* connections to too many peers closed within a second */
	LOSS_STREAM_GAP,	/* bytes of an HTTP/2 connection were not seen: where its frames begin is lost */
	LOSS_STREAMS_FULL,	/* an HTTP/2 connection or stream did not fit into its table */
	LOSS_SPANS_FULL,	/* the ring of spans was full: requests of a window without a span */
	LOSS_REASON_MAX,
};

/* The families of objects that a pass visits, each with its own pace. */
enum family_id {
	FAMILY_SOCKET,
	FAMILY_EPOLL,
	FAMILY_TASK,
	FAMILY_DISCOVER,
	FAMILY_MAX,
};

/* One queue of one container.
 *
 * depth, limit, sum and max are written by the family's iterator only, of
 * which one runs at a time; arrivals and the three after it by any CPU, with
 * atomic adds, and only ever grow.
 *
 * depth is the sum over the container's objects in pass number `pass`. When
 * the next pass first touches the cell, depth is added to sum and kept in max.
 * A pass that finds no object leaves the cell alone: Go takes it as zero.
 */
struct queue_cell {
	__u64 pass;
	__u64 depth;
	__u64 limit;
	__u64 sum;		/* of depth over finished passes */
	__u64 max;		/* over finished passes; Go zeroes it each tick */
	__u64 arrivals;
	__u64 departures;
	__u64 in_ns;		/* sum of arrival times (DESIGN.md section 3.2) */
	__u64 out_ns;		/* sum of departure times */
	__u64 wait_ns;		/* time that objects have spent in the queue */
};

/* Everything measured about one container. Key: slot. */
struct container_row {
	__u64 owner;		/* container.ID; 0 while the slot is free */
	__u64 pass;		/* last socket pass that met a socket of it */
	__u32 sockets;		/* met in that pass */
	__u32 close_wait;	/* of these, closed by the peer and not by us */
	__u64 segments_in;	/* TCP segments received, for sharing out nic_rx */
	__u32 exact;		/* written by Go: whether its requests are counted (exact.bpf.h) */
	__u32 pad;
	char comm[16];		/* of the first task seen: the name under --group-by comm */
	struct queue_cell cells[QUEUE_MAX];
};

/* Programs that run on events rather than in passes, by what one run costs. */
enum hook_id {
	HOOK_TCP_STATE,
	HOOK_BLOCK_IO,
	HOOK_REQUEST,
	HOOK_STREAM,
	HOOK_MAX,
};

/* Written by Go, read by every program. */
struct control {
	__u64 pass[FAMILY_MAX];		/* number of the current pass, from 1 */
	__u64 pass_ns[FAMILY_MAX];	/* when it began, CLOCK_MONOTONIC */
	__u64 previous_ns[FAMILY_MAX];	/* when the one before began */
	__u32 quiet_every;		/* visit sockets that were quiet every n-th pass; 1: always */
	__u32 dump;			/* number of the current list of sockets */
	__u32 exact;			/* request hooks are attached, and count */
	__u32 pad;
	__u64 ages_pass;		/* in this pass of sockets the ages of open requests are counted */
	__u64 read_from;		/* family_stats.visited of sockets when the read(2) began */
	__u64 stop_ns;			/* when it has lasted long enough */
	/* How to name the container of a task (container.Choice): an index into
	 * css_set.subsys, HIERARCHY_V2 or HIERARCHY_NONE. */
	int primary_hierarchy;
	int secondary_hierarchy;
	/* Requests that are open at any time in between leave spans (spans.bpf.h);
	 * both 0: none do. */
	__u64 spans_from_ns;
	__u64 spans_until_ns;
};

/* Written by the iterators, read by Go. */
struct family_stats {
	__u64 visited;		/* objects met, all passes */
	__u64 measured;		/* of these, read rather than taken from cache or skipped */
	__u64 unowned;		/* of these, not yet assigned to a container */
	__u64 high;		/* socket: slots, epoll: indices; every one in use is below */
};
