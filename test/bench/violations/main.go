// Violations replays campaigns through what watches a live host, and says how far
// its violations and labels are from the truth.
package main

import (
	"fmt"
	"os"
	"time"

	"seer/infer/campaign"
	"seer/infer/replay"
)

func main() {
	var all, blind replay.Agreement
	for _, path := range os.Args[1:] {
		dir, err := campaign.Open(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		truth, err := dir.Violations()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		m := &dir.Manifest
		tick, length := time.Duration(m.TickMS)*time.Millisecond, time.Duration(m.DurationMS)*time.Millisecond
		for _, promise := range m.QoS {
			var mine []campaign.Violation
			for _, v := range truth {
				if v.Service == promise.Service {
					mine = append(mine, v)
				}
			}
			for _, ages := range []bool{true, false} {
				watched, err := replay.Violations(dir.Requests(), promise, tick, length, ages)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				a := replay.Compare(mine, watched, tick)
				fmt.Printf("%s ages %v %+v %.3f\n", path, ages, a, a.Share())
				if ages {
					all.Add(a)
				} else {
					blind.Add(a)
				}
			}
		}
	}
	fmt.Printf("all %+v %.4f\nblind %+v %.4f\n", all, all.Share(), blind, blind.Share())
}
