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

// order returns which queues grew after the onset, the first first. One has grown
// when it is deeper, for three readings, than it was in 99 of 100 readings before
// the onset, and by more than two requests.
func (x *trio) order(began, onset time.Time) []grown {
	before, after := x.between(began, onset), x.between(onset, time.Now())
	var all []grown
	for _, service := range []string{"front", "middle", "back"} {
		var usual []int64
		for _, d := range before {
			usual = append(usual, d.depth[service])
		}
		slices.Sort(usual)
		bound := int64(2)
		if len(usual) > 0 {
			bound += usual[len(usual)*99/100]
		}
		deep := 0
		for _, d := range after {
			if d.depth[service] <= bound {
				deep = 0
				continue
			}
			if deep++; deep == 3 {
				all = append(all, grown{service, d.at.Sub(onset)})
				break
			}
		}
	}
	slices.SortStableFunc(all, func(a, b grown) int { return int(a.after - b.after) })
	return all
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
