/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Latency histograms: collector/latency in the kernel. 32 buckets an octave, so
 * that a bucket is at most 3.2 % wide, from 2^10 ns to 2^36 ns (68.7 s).
 */
#pragma once

#include "headers/kernel.h"
#include "headers/bpf/bpf_helpers.h"

#define LATENCY_LOWEST_BIT 10
#define LATENCY_OCTAVES 26
#define LATENCY_PER_OCTAVE_BITS 5
#define LATENCY_PER_OCTAVE (1 << LATENCY_PER_OCTAVE_BITS)
#define LATENCY_BUCKETS (1 + LATENCY_OCTAVES * LATENCY_PER_OCTAVE + 1)

/* The number of the highest bit that is set; 0 for 0. */
static __always_inline __u32 highest_bit(__u64 v)
{
	__u32 bit = (v >> 32 != 0) << 5;

	v >>= bit;
	for (__u32 half = 16; half; half >>= 1) {
		__u32 step = (v >> half != 0) ? half : 0;

		v >>= step;
		bit += step;
	}
	return bit;
}

/* The bucket of a time: 0 to LATENCY_BUCKETS - 1. */
static __always_inline __u32 latency_bucket(__u64 ns)
{
	__u32 bit = highest_bit(ns);
	__u32 part;

	if (bit < LATENCY_LOWEST_BIT)
		return 0;
	if (bit >= LATENCY_LOWEST_BIT + LATENCY_OCTAVES)
		return LATENCY_BUCKETS - 1;
	part = ns >> (bit - LATENCY_PER_OCTAVE_BITS) & (LATENCY_PER_OCTAVE - 1);
	return 1 + ((bit - LATENCY_LOWEST_BIT) << LATENCY_PER_OCTAVE_BITS) + part;
}
