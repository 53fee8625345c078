/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The kernel types Seer reads, and no others.
 *
 * Every struct is preserve_access_index: the loader finds the real offsets in
 * the running kernel's BTF (CO-RE), so only names and types must be right here.
 * Fields that moved between releases live in ../compat.bpf.h.
 */
#pragma once

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_STACK = 23,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_EXIST = 2,
};

enum {
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_MMAPABLE = 1U << 10,
};

enum {
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1U << 0,
	BPF_SK_STORAGE_GET_F_CREATE = 1U << 0,
};

enum {
	BPF_RB_NO_WAKEUP = 1U << 0,
};

#define EEXIST 17

/* include/linux/socket.h, include/uapi/linux/in.h, include/net/tcp_states.h */
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_MPTCP 262
#define SOCK_STREAM 1

enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT,
	TCP_SYN_RECV,
	TCP_FIN_WAIT1,
	TCP_FIN_WAIT2,
	TCP_TIME_WAIT,
	TCP_CLOSE,
	TCP_CLOSE_WAIT,
	TCP_LAST_ACK,
	TCP_LISTEN,
	TCP_CLOSING,
	TCP_NEW_SYN_RECV,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	__s64 counter;
} atomic64_t;

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

struct list_head {
	struct list_head *next, *prev;
};

/* Cgroups: include/linux/cgroup-defs.h, include/linux/kernfs.h */
struct kernfs_node {
	__u64 id;
};

struct cgroup {
	struct kernfs_node *kn;
	int level;
};

struct cgroup_subsys_state {
	struct cgroup *cgroup;
};

#define CGROUP_SUBSYS_MAX 12

struct css_set {
	struct cgroup_subsys_state *subsys[CGROUP_SUBSYS_MAX];
	struct cgroup *dfl_cgrp;
};

enum cgroup_subsys_id {
	io_cgrp_id = 3,
};

/* Tasks: include/linux/sched.h */
struct sched_info {
	unsigned long pcount;
	unsigned long long run_delay;
	unsigned long long last_arrival;
	unsigned long long last_queued;
};

struct files_struct;

struct rq {
	unsigned int nr_running;
};

struct cfs_rq {
	struct rq *rq;
};

struct sched_entity {
	struct cfs_rq *cfs_rq;
};

struct task_struct {
	int on_cpu;
	int on_rq;
	unsigned int flags;
	int exit_state;
	int pid;
	int tgid;
	char comm[16];
	__u64 start_time;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	struct sched_info sched_info;
	struct sched_entity se;
};

/* Files: include/linux/fs.h, fs/eventpoll.c */
struct file_operations;

struct inode {
	unsigned long i_ino;
};

struct file {
	const struct file_operations *f_op;
	void *private_data;
	struct inode *f_inode;
};

struct epitem {
	struct list_head rdllink;
	struct epitem *ovflist_next;
};

struct eventpoll {
	struct list_head rdllist;
	struct epitem *ovflist;
	struct file *file;
};

/* Sockets: include/net/sock.h, include/linux/net.h, include/net/net_namespace.h */
struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sk_buff {
	struct sk_buff *next;
	unsigned int len;
	char cb[48];
};

/* include/net/af_unix.h: what a unix socket keeps in sk_buff.cb. */
struct unix_skb_parms {
	__u32 consumed;
};

struct sk_buff_head {
	struct sk_buff *next;
	struct sk_buff *prev;
	__u32 qlen;
};

struct socket {
	short type;
	struct file *file;
	struct sock *sk;
};

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	refcount_t sk_wmem_alloc;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	__u16 sk_type;
	__u16 sk_protocol;
	struct socket *sk_socket;
	void *sk_user_data;
};

struct request_sock_queue {
	atomic_t qlen;
};

struct tcp_ulp_ops;

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
	const struct tcp_ulp_ops *icsk_ulp_ops;
	struct {
		__u32 lrcvtime;
	} icsk_ack;
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 segs_in;
	__u32 data_segs_in;
	__u32 data_segs_out;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 rcv_wup;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 snd_wl1;
	__u32 write_seq;
	__u32 lsndtime;
	__u32 packets_out;
	__u64 tcp_clock_cache;
};

/* net/mptcp/protocol.h */
struct mptcp_sock {
	struct sock *first;
};

/* Block: include/linux/blk-mq.h, include/linux/blk_types.h, block/blk-cgroup.h */
struct blkcg {
	struct cgroup_subsys_state css;
};

struct blkcg_gq {
	struct blkcg *blkcg;
};

struct bio {
	struct blkcg_gq *bi_blkg;
};

enum mq_rq_state { /* include/linux/blk-mq.h */
	MQ_RQ_IDLE,
	MQ_RQ_IN_FLIGHT,
	MQ_RQ_COMPLETE,
};

struct request {
	unsigned int __data_len;
	struct bio *bio;
	enum mq_rq_state state;
};

/* BPF iterators: kernel/bpf/task_iter.c, kernel/bpf/map_iter.c, net/core/bpf_sk_storage.c */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_map;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
};

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
};

#pragma clang attribute pop
