// Violations replays campaigns through what watches a live host, and says how far
// its violations and labels are from the truth.
//
//	violations DIR...
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"seer/infer/campaign"
	"seer/infer/replay"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "violations: want the directories of campaigns, such as seersim writes")
		os.Exit(2)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "violations:", err)
		os.Exit(1)
	}
}

// score counts labels.
type score struct{ right, unknown, all int }

func (s *score) add(l *replay.Labelled) {
	s.all++
	switch {
	case l.Right():
		s.right++
	case l.Label.Culprit == "cannot tell":
		s.unknown++
	}
}

func (s score) share() float64 { return float64(s.right) / float64(max(s.all, 1)) }

func run(dirs []string) error {
	var aged, blind replay.Agreement
	byCause := map[campaign.Cause]*score{}
	var labels, first score
	for _, path := range dirs {
		dir, err := campaign.Open(path)
		if err != nil {
			return err
		}
		a, b, err := agreement(dir)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		aged.Add(a)
		blind.Add(b)
		labelled, err := replay.Labels(context.Background(), dir)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for i := range labelled {
			l := &labelled[i]
			if byCause[l.Fault.Cause] == nil {
				byCause[l.Fault.Cause] = &score{}
			}
			byCause[l.Fault.Cause].add(l)
			labels.add(l)
			if l.First {
				first.add(l)
			}
			if !l.Right() {
				fmt.Printf("%s fault %d at %d ms: %s of %q, said %q: %s\n", path, l.Fault.ID, l.Violation.OnsetMS, l.Fault.Cause, l.Want(), l.Label.Culprit, l.Label.Why)
			}
		}
	}
	fmt.Println("\n| cause | violations | right | cannot tell | share |\n| --- | ---: | ---: | ---: | ---: |")
	for _, c := range campaign.Causes {
		if s := byCause[c.Cause]; s != nil {
			fmt.Printf("| %s | %d | %d | %d | %.3f |\n", c.Cause, s.all, s.right, s.unknown, s.share())
		}
	}
	fmt.Printf("| all | %d | %d | %d | %.3f |\n\n", labels.all, labels.right, labels.unknown, labels.share())
	for _, a := range []struct {
		name string
		replay.Agreement
	}{{"ages", aged}, {"no_ages", blind}} {
		fmt.Printf("BENCH violations_%s %d of %d\n", a.name, a.Found, a.Truth)
		fmt.Printf("BENCH violations_%s_onset_within_tick %.3f share\n", a.name, float64(a.Onsets)/float64(max(a.Truth, 1)))
		fmt.Printf("BENCH violations_%s_both_within_tick %.3f share\n", a.name, a.Share())
	}
	fmt.Printf("BENCH labels_right %.3f share\n", labels.share())
	fmt.Printf("BENCH labels_right_first_of_fault %.3f share\n", first.share())
	return nil
}

// agreement is that of all promises of a campaign, with ages of open requests and
// without.
func agreement(dir *campaign.Dir) (aged, blind replay.Agreement, err error) {
	truth, err := dir.Violations()
	if err != nil {
		return aged, blind, err
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
				return aged, blind, err
			}
			if a := replay.Compare(mine, watched, tick); ages {
				aged.Add(a)
			} else {
				blind.Add(a)
			}
		}
	}
	return aged, blind, nil
}
