/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The epoll instances of the host: found by discovery, read by each pass. */
#pragma once

#include "account.bpf.h"

struct epoll_state {
	__u64 ep;	/* address of the struct eventpoll; 0: index is free */
	__u64 file;	/* address of its struct file, while it lives */
	__u64 ops;	/* address of eventpoll_fops, to recognise reuse */
	__u64 owner;	/* container.ID */
	__u32 slot;
	__u32 confirmed; /* discovery scan that last found owner holding it */
};

/* 16,384 instances, 640 KiB, touched as far as used: a node of 250 pods with
 * 65 event loops each.
 */
#define EPOLLS_MAX 16384

/* Key: index. An array, because a pass over a hash map would walk its empty
 * buckets too, which costs more than the instances.
 * Writer: discover; Go frees what discovery no longer finds, through mmap.
 * Reader: epoll_ready.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EPOLLS_MAX);
	__type(key, __u32);
	__type(value, struct epoll_state);
} epolls SEC(".maps");

/* Key: address of the struct eventpoll. Value: index into epolls.
 * Writer: discover; Go deletes. Reader: discover.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, EPOLLS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} epoll_indices SEC(".maps");

/* Indices given back. Writer: Go, discover. Reader: discover. */
struct {
	__uint(type, BPF_MAP_TYPE_STACK);
	__uint(max_entries, EPOLLS_MAX);
	__uint(key_size, 0);
	__type(value, __u32);
} free_epolls SEC(".maps");
