/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is remembered of an HTTP/2 connection and counted of its streams. */
#pragma once

#include "followed.bpf.h"
#include "latency.bpf.h"

#define SAMPLE_MAX 256

struct stream_counters {
	__u64 arrivals;
	__u64 departures;
	__u64 in_ns;
	__u64 out_ns;
	__u64 unanswered;	/* of the departures: reset, or their connection closed or lost */
	__u64 connections;
	__u64 older;		/* of these, begun before they were followed */
	__u32 first[LATENCY_BUCKETS]; /* from the first byte of the request to the first of the answer */
	__u32 last[LATENCY_BUCKETS];  /* and to its last */
};

struct stream_row {
	__u64 sampled_second;
	__u32 sampled;
	__u32 choice;		/* written by Go: followed.choice of the container it counts for */
	struct stream_counters outstanding;
	struct stream_counters downstream;
};

/* 64 x 13.5 KB = 0.9 MB. Key: followed.row. Writer: stream programs; Go zeroes a row
 * that it gives out. Reader: Go, through mmap.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FOLLOWED_MAX);
	__type(key, __u32);
	__type(value, struct stream_row);
} stream_rows SEC(".maps");

enum stream_kind {
	KIND_UNKNOWN,
	KIND_HTTP2,
	KIND_OTHER,
};

/* Packets that came before their turn and were gone through: from, to. */
#define EARLY_MAX 4
struct early_bytes {
	__u32 from;
	__u32 to;	/* equal: none */
};

/* Where in the frames of a direction its next byte is. */
struct stream_cursor {
	__u32 left;		/* bytes of the current frame still to come */
	__u32 closes;		/* stream that ends with the current frame */
	__u8 resets;		/* by a reset */
	__u8 carried;		/* bytes of a frame's header that have come */
	__u8 pad[2];
	__u8 header[32];	/* FRAME_HEADER are used; the rest bounds what the verifier assumes */
};

/* Whether a packet that comes early has a place to be remembered. */
enum early_place {
	PLACE_NONE,
	PLACE_FOUND,
	PLACE_TAKEN,	/* it came before */
};

/* What the steps through one packet share. It is here, not on the stack, because the
 * verifier would follow every value that it knows of.
 */
struct stream_step {
	__u32 at;		/* offset of the next byte in the packet */
	__u32 end;
	__u32 try_at;		/* the same, of try_frames() */
	__u32 sequence;		/* number of the first byte */
	__u8 requests;		/* this direction carries requests */
	__u8 early;		/* it came before its turn */
	__u8 first;		/* it is the connection's first with bytes, this way */
	__u8 preface;		/* it begins with a client's preface */
	__u8 filled;		/* frames fill it exactly */
	__u8 broken;		/* these are not frames */
	__u8 place;		/* enum early_place */
	__u8 pad;
};

/* One direction of a connection. */
struct stream_side {
	__u32 busy;		/* a CPU is at it */
	__u32 expected;		/* sequence number of the next byte */
	__u8 synced;		/* where frames begin is known */
	__u8 seen;
	__u8 waiting;		/* entries of early that are in use */
	__u8 pad;
	struct stream_cursor cursors[2]; /* in order, and in a packet that came early */
	struct early_bytes early[EARLY_MAX];
	struct stream_step step;
};

struct stream_connection {
	__u64 owner;
	__u64 cookie;
	__u32 choice;
	__u32 row;
	__u32 epoch;		/* of the streams that count: another after each loss */
	__u32 open;
	__u32 last;		/* the highest stream that the client opened */
	__u32 floor;		/* and the highest before a packet that came early */
	__u16 tries;
	__u8 kind;		/* enum stream_kind */
	__u8 role;		/* enum socket_role */
	__u8 spoke;		/* direction of the last bytes, from 1 */
	__u8 blind;		/* where the frames of answers begin is not known */
	__u8 pad[2];
	struct stream_side sides[2]; /* received, sent */
};

/* Key: socket. Writer: stream programs. Reader: the same. Goes with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct stream_connection);
} stream_connections SEC(".maps");

struct stream_key {
	__u64 cookie;
	__u32 stream;
	__u32 pad;
};

struct stream_value {
	__u64 opened_ns;
	__u32 epoch;
	__u32 answered;
};

/* 32,768 open streams x 32 bytes. The one that is open for longest makes room, and
 * stays counted as open until its connection closes. Writer, reader: stream programs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct stream_key);
	__type(value, struct stream_value);
} open_streams SEC(".maps");

/* The beginning of a request, for its name. */
struct stream_sample {
	__u64 owner;
	__u32 length;
	__u32 role;	/* enum socket_role of the end where it was seen */
	__u8 bytes[SAMPLE_MAX];
};

/* 256 KiB: 900 samples. Writer: stream programs, at most followed.samples a second
 * for each container. Reader: Go, which names and forgets them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
} stream_samples SEC(".maps");
