//go:build linux

package fault

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"seer/test/bed/tier"
)

// depths are the queues of the trio at one moment: the requests that a service has
// been sent and not answered, less those that its callee has. What is on a link
// or was answered and not read is with the caller.
type depths struct {
	at    time.Time
	depth map[string]int64
}

func newDepths(all map[string]tier.Stats) depths {
	front := all["front"].Outstanding.Now
	middle := all["front"].Peers["middle"].Downstream.Now
	back := all["back"].Outstanding.Now + int64(all["back"].Unread)
	return depths{time.Now(), map[string]int64{"front": front - middle, "middle": middle - back, "back": back}}
}

// watchEvery is how far apart they are.
const watchEvery = 20 * time.Millisecond

// watch follows the queues until the test ends.
func (x *trio) watch() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			all, err := askAll(x.bed)
			if err != nil {
				x.t.Errorf("control socket: %v", err)
				return
			}
			x.mu.Lock()
			x.series = append(x.series, newDepths(all))
			x.mu.Unlock()
		}
	}()
	x.t.Cleanup(func() {
		close(stop)
		<-stopped
	})
}

// between returns what was seen in [from, to).
func (w *traffic) between(from, to time.Time) []depths {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.series, func(d depths) bool { return !d.at.Before(from) })
	j := slices.IndexFunc(w.series, func(d depths) bool { return !d.at.Before(to) })
	if i < 0 {
		return nil
	}
	if j < 0 {
		j = len(w.series)
	}
	return slices.Clone(w.series[i:j])
}

// grown is a queue that has grown, and when.
type grown struct {
	service string
	after   time.Duration // the onset
}

func (g grown) String() string {
	return fmt.Sprintf("%s after %d ms", g.service, g.after.Milliseconds())
}

// order returns which queues grew after the onset, the first first, by cumulative
// sums (Page, Biometrika 1954): what a queue holds above its usual mean, and half
// as much again, adds up, and what it holds below takes from the sum. It has grown
// when that is twice what chance had made it before the onset.
func (x *trio) order(began, onset time.Time) []grown {
	before, after := x.between(began, onset), x.between(onset, time.Now())
	var all []grown
	for _, service := range []string{"front", "middle", "back"} {
		usual := 0.0
		for _, d := range before {
			usual += float64(d.depth[service]) / float64(len(before))
		}
		const least = 0.1 // request seconds: half a second with 0.2 more than usual
		most := 0.0
		excess(before, service, usual, func(sum float64, _ time.Time) bool {
			most = max(most, sum)
			return true
		})
		excess(after, service, usual, func(sum float64, at time.Time) bool {
			if sum < 2*most+least {
				return true
			}
			all = append(all, grown{service, at.Sub(onset)})
			return false
		})
	}
	slices.SortStableFunc(all, func(a, b grown) int { return int(a.after - b.after) })
	return all
}

// first reports whether a queue grew first, or with the first: those of a cycle do
// within a reading or two.
func first(order []grown, service string) bool {
	const together = 3 * watchEvery
	return slices.ContainsFunc(order, func(g grown) bool {
		return g.service == service && g.after <= order[0].after+together
	})
}

// excess tells the cumulative sum of a queue at each reading, in request seconds,
// until told to stop.
func excess(series []depths, service string, usual float64, yield func(sum float64, at time.Time) bool) {
	sum := 0.0
	for i := 1; i < len(series); i++ {
		seconds := series[i].at.Sub(series[i-1].at).Seconds()
		sum = max(0, sum+(float64(series[i].depth[service])-1.5*usual)*seconds)
		if !yield(sum, series[i].at) {
			return
		}
	}
}

// plot draws the depths around a fault into a file of the directory that
// SEER_FAULT_PLOTS names, if it does.
func (x *trio) plot(name string, onset, from, to time.Time) {
	x.t.Helper()
	dir := os.Getenv("SEER_FAULT_PLOTS")
	if dir == "" {
		return
	}
	p := plot.New()
	p.Title.Text = name
	p.X.Label.Text = "s after the onset"
	p.Y.Label.Text = "requests"
	p.Legend.Top = true
	for i, service := range []string{"front", "middle", "back"} {
		var points plotter.XYs
		for _, d := range x.between(from, to) {
			points = append(points, plotter.XY{X: d.at.Sub(onset).Seconds(), Y: float64(d.depth[service])})
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			x.t.Fatal(err)
		}
		line.Color = plotutil.Color(i)
		p.Add(line)
		p.Legend.Add(service, line)
	}
	if err := p.Save(8*vg.Inch, 3*vg.Inch, filepath.Join(dir, name+".png")); err != nil {
		x.t.Error(err)
	}
}
