package plot

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
)

// timeTicks are about ten round times.
type timeTicks struct{}

var timeSteps = []time.Duration{
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// Ticks implements plot.Ticker.
func (timeTicks) Ticks(low, high float64) []plot.Tick {
	step := timeSteps[len(timeSteps)-1]
	for _, s := range timeSteps {
		if (high-low)/s.Seconds() <= 15 {
			step = s
			break
		}
	}
	for (high-low)/step.Seconds() > 15 {
		step *= 2
	}
	var out []plot.Tick
	for i := math.Ceil(low/step.Seconds() - 1e-9); i*step.Seconds() <= high+1e-9; i++ {
		at := time.Duration(i) * step
		out = append(out, plot.Tick{Value: at.Seconds(), Label: clock(at, step)})
	}
	return out
}

// clock writes a time as h:mm:ss or m:ss, with tenths where the step has them.
func clock(at, step time.Duration) string {
	h, m, s := int(at.Hours()), int(at.Minutes())%60, at.Seconds()-60*math.Floor(at.Minutes())
	text := fmt.Sprintf("%02.0f", s)
	if step < time.Second {
		text = fmt.Sprintf("%04.1f", s)
	}
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%s", h, m, text)
	}
	return fmt.Sprintf("%d:%s", m, text)
}

// plainLogTicks are 1, 10, 100 as such, with the digits between unnamed.
type plainLogTicks struct{}

// Ticks implements plot.Ticker.
func (plainLogTicks) Ticks(low, high float64) []plot.Tick {
	var out []plot.Tick
	decades := math.Log10(high / low)
	for decade := math.Pow(10, math.Floor(math.Log10(low))); decade <= high; decade *= 10 {
		for digit := 1.0; digit < 10; digit++ {
			v := decade * digit
			if v < low || v > high {
				continue
			}
			tick := plot.Tick{Value: v}
			if digit == 1 || decades < 2 && (digit == 2 || digit == 5) {
				tick.Label = strconv.FormatFloat(v, 'g', 6, 64)
			}
			out = append(out, tick)
		}
	}
	return out
}

// fewTicks are zero and up to three round numbers, for low panels.
type fewTicks struct{}

// Ticks implements plot.Ticker.
func (fewTicks) Ticks(_, high float64) []plot.Tick {
	step := math.Pow(10, math.Floor(math.Log10(high)))
	switch n := high / step; {
	case n < 1.5:
		step /= 2
	case n > 6:
		step *= 3
	case n > 3:
		step *= 2
	}
	var out []plot.Tick
	for v := 0.0; v <= high; v += step {
		out = append(out, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'g', 6, 64)})
	}
	return out
}
