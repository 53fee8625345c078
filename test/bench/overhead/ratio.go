//go:build linux

package main

import (
	"math/rand/v2"
	"slices"
)

// ratios are on / off, one per block.
type ratios []float64

// summary is the change that ratios show, in percent, with the bootstrap's 95 %
// interval of the median.
type summary struct{ median, low, high float64 }

const resamples = 2000

func (r ratios) summary(seed uint64) summary {
	rng := rand.New(rand.NewPCG(seed, 1))
	medians := make([]float64, resamples)
	again := make(ratios, len(r))
	for i := range medians {
		for j := range again {
			again[j] = r[rng.IntN(len(r))]
		}
		medians[i] = median(again)
	}
	slices.Sort(medians)
	percent := func(ratio float64) float64 { return (ratio - 1) * 100 }
	return summary{percent(median(r)), percent(medians[resamples*25/1000]), percent(medians[resamples*975/1000])}
}

func median(x []float64) float64 {
	s := slices.Sorted(slices.Values(x))
	n := len(s)
	return (s[(n-1)/2] + s[n/2]) / 2
}
