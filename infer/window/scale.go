package window

import (
	"errors"
	"fmt"
	"math"
)

// Scale standardises the cells of an example: per queue and service, by the
// logarithm. A cell x becomes bend((ln(1+x) - Mean) / Deviation). It is estimated
// on training data and kept with the model.
type Scale struct {
	Mean      []float32 // [queue][service], Shape.Queues x Shape.Services
	Deviation []float32 // the same
}

const (
	// minDeviation keeps a queue that is always empty in training from turning
	// its first entry into an infinite surprise.
	minDeviation = 0.05
	// bendAt is how many deviations pass unchanged. Beyond, values grow as the
	// logarithm: networks need bounded inputs, and yet a queue of a thousand is
	// more than one of a hundred.
	bendAt = 4
)

// bend is the identity near 0 and grows as a logarithm far from it.
func bend(z float32) float32 {
	switch {
	case z > bendAt:
		return bendAt + float32(math.Log1p(float64(z-bendAt)))
	case z < -bendAt:
		return -bendAt - float32(math.Log1p(float64(-z-bendAt)))
	}
	return z
}

// unbend is its inverse.
func unbend(z float32) float32 {
	switch {
	case z > bendAt:
		return bendAt + float32(math.Expm1(float64(z-bendAt)))
	case z < -bendAt:
		return -bendAt - float32(math.Expm1(float64(-z-bendAt)))
	}
	return z
}

// Apply returns what an example holds for a value of a cell, which is the number
// queue x services + service.
func (s *Scale) Apply(cell int, v float32) float32 {
	return bend((float32(math.Log1p(float64(v))) - s.Mean[cell]) / s.Deviation[cell])
}

// Invert returns the value that an example holds x for.
func (s *Scale) Invert(cell int, x float32) float32 {
	return float32(math.Expm1(float64(unbend(x)*s.Deviation[cell] + s.Mean[cell])))
}

// Validate says what is wrong with a scale that comes from elsewhere.
func (s *Scale) Validate(shape Shape) error {
	want := shape.Queues * shape.Services
	if len(s.Mean) != want || len(s.Deviation) != want {
		return fmt.Errorf("normalisation of %d and %d cells, want %d", len(s.Mean), len(s.Deviation), want)
	}
	for i := range s.Mean {
		m, d := float64(s.Mean[i]), float64(s.Deviation[i])
		if math.IsNaN(m) || math.IsInf(m, 0) || math.IsInf(d, 0) || !(d > 0) {
			return fmt.Errorf("normalisation of cell %d is %v and %v: want a finite mean and a deviation above 0", i, m, d)
		}
	}
	return nil
}

// EstimateScale estimates a scale on runs of one layout, from the ticks in which
// nothing was wrong: a deviation that includes violations would hide them. A
// service that was never seen has the statistics of its queue in all others.
func EstimateScale(runs []*Run) (*Scale, error) {
	if len(runs) == 0 {
		return nil, errors.New("normalisation: no runs to estimate it on")
	}
	shape := runs[0].Layout.Shape
	cells := shape.Queues * shape.Services
	sum, square, count := make([]float64, cells), make([]float64, cells), make([]float64, cells)
	for _, r := range runs {
		err := r.rows.scan(func(tick int, row []uint16) {
			if tick < r.first || tick >= r.last || r.state(r.EndMS(tick)) != quiet {
				return
			}
			for i, v := range row {
				if v == unmeasured {
					continue
				}
				x := float64(decode(v))
				sum[i] += x
				square[i] += x * x
				count[i]++
			}
		})
		if err != nil {
			return nil, err
		}
	}
	s := &Scale{Mean: make([]float32, cells), Deviation: make([]float32, cells)}
	measured := false
	for q := range shape.Queues {
		at := q * shape.Services
		var means, deviations, known float64
		for i := at; i < at+shape.Services; i++ {
			if count[i] == 0 {
				continue
			}
			measured = true
			mean := sum[i] / count[i]
			deviation := max(minDeviation, math.Sqrt(max(0, square[i]/count[i]-mean*mean)))
			s.Mean[i], s.Deviation[i] = float32(mean), float32(deviation)
			means, deviations, known = means+mean, deviations+deviation, known+1
		}
		for i := at; i < at+shape.Services; i++ {
			switch {
			case count[i] > 0:
			case known > 0:
				s.Mean[i], s.Deviation[i] = float32(means/known), float32(deviations/known)
			default:
				s.Deviation[i] = 1
			}
		}
	}
	if !measured {
		return nil, errors.New("normalisation: no tick without a violation was measured: record some minutes of normal load")
	}
	return s, nil
}
