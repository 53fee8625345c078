package evaluate

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"seer/infer/alarm"
	"seer/infer/window"
)

// Trace is what a predictor said of every tick of a run.
type Trace struct {
	Run   *window.Run
	first int // tick of judged[0]
	judge []alarm.Judgement

	// InferenceUS is how long a prediction took, at the 99th percentile.
	InferenceUS float64
}

// Ask lets a predictor judge every tick of a run, in order. progress, which may be
// nil, is called with the share that is done.
func Ask(ctx context.Context, r *window.Run, s *window.Scale, predictor window.Predictor, progress func(float64)) (*Trace, error) {
	shape := r.Layout.Shape
	x, mask := make([]float32, shape.Len()), make([]float32, shape.Len())
	p := make([]float32, shape.Services+1)
	first, end := r.Ticks()
	t := &Trace{Run: r, first: first, judge: make([]alarm.Judgement, 0, end-first)}
	var buffer window.Buffer
	took := make([]float64, 0, 1024)
	for tick := first; tick < end; tick++ {
		if err := r.Example(s, tick, x, mask, &buffer); err != nil {
			return nil, err
		}
		// Reading the clock costs little, but keeping every time would cost memory.
		timed := tick%((end-first)/1024+1) == 0
		var begin time.Time
		if timed {
			begin = time.Now()
		}
		predictor.Predict(x, mask, p)
		if timed {
			took = append(took, float64(time.Since(begin))/1e3)
		}
		if err := proper(p); err != nil {
			return nil, fmt.Errorf("%s at %v: %w", r.Name, time.Duration(r.EndMS(tick))*time.Millisecond, err)
		}
		t.judge = append(t.judge, alarm.Judge(p))
		if tick%1000 == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if progress != nil {
				progress(float64(tick-first) / float64(end-first))
			}
		}
	}
	if slices.Sort(took); len(took) > 0 {
		t.InferenceUS = took[(len(took)-1)*99/100]
	}
	return t, nil
}

// proper says what is wrong with the answer of a predictor.
func proper(p []float32) error {
	sum := 0.0
	for _, v := range p {
		sum += float64(v)
		if !(v >= 0) {
			return fmt.Errorf("the model answers with a probability of %v: it is damaged, train it again", v)
		}
	}
	if math.Abs(sum-1) > 1e-3 {
		return fmt.Errorf("the model's probabilities add up to %v: it is damaged, train it again", sum)
	}
	return nil
}

// alarms are those of a trace, per tick.
func (t *Trace) alarms(threshold float32, dst []alarm.Alarm) []alarm.Alarm {
	h := alarm.Hysteresis{Options: alarm.Options{Threshold: threshold, TickMS: t.Run.Layout.TickMS}}
	dst = dst[:0]
	for i := range t.judge {
		dst = append(dst, h.Next(&t.judge[i]))
	}
	return dst
}
