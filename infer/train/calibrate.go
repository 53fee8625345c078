package train

import (
	"context"
	"math"
	"slices"
	"time"

	"seer/infer/matrix"
	"seer/infer/model"
	"seer/infer/network"
)

// mostLogits of the validation set are kept to calibrate with, of evenly spaced
// examples: 64 MB.
const mostLogits = 1 << 24

// finish calibrates the best weights and makes the model.
func (r *run) finish(ctx context.Context) (*model.Model, error) {
	m := &model.Model{Kind: r.Kind, Layout: r.layout, Norm: r.norm, Weights: r.weights, Temperature: 1}
	wide := r.layout.Shape.Services + 1
	every := 1 + r.held.Examples*wide/mostLogits
	c := calibration{wide: wide, used: model.Used(&r.layout)}
	n := 0
	err := r.visitHeld(ctx, func(g *network.Graph, place int, label int32) {
		if n++; (n-1)%every == 0 {
			c.logits = append(c.logits, g.Logits()[place*wide:][:wide]...)
			c.labels = append(c.labels, label)
		}
	})
	if err != nil {
		return nil, err
	}
	// Training counted a violation for more than it is: undone, this is the bias to
	// begin with.
	bias := math.Log(float64(r.positive / r.quiet))
	temperature, bias, loss := c.fit(bias)
	m.Temperature, m.NoneBias = float32(temperature), float32(bias)
	threshold, caught, culprit := c.threshold(temperature, bias, r.FalseAlarmShare)
	m.Threshold = float32(threshold)
	culprits := 0
	for _, n := range r.counts.Of[:wide-1] {
		if n > 0 {
			culprits++
		}
	}
	m.Card = model.Card{
		Trained:  time.Now().UTC().Truncate(time.Second),
		Seed:     r.Seed,
		Examples: r.counts.Examples, Positive: r.counts.Positive, Culprits: culprits,
		History:         r.history,
		FalseAlarmShare: r.FalseAlarmShare,
		Metrics: map[string]float64{
			"validation_examples": float64(r.held.Examples),
			"validation_positive": float64(r.held.Positive),
			"validation_loss":     loss,
			"validation_caught":   caught,
			"validation_culprit":  culprit,
		},
	}
	return m, nil
}

// calibration is what a network says of the validation set.
type calibration struct {
	wide   int
	used   []bool
	logits []float32 // wide per example
	labels []int32

	p []float32
}

// probabilities of an example.
func (c *calibration) probabilities(i int, temperature, bias float64) []float32 {
	if c.p == nil {
		c.p = make([]float32, c.wide)
	}
	for j, v := range c.logits[i*c.wide:][:c.wide] {
		c.p[j] = v / float32(temperature)
	}
	c.p[c.wide-1] += float32(bias)
	matrix.Softmax(c.p, c.p, c.used)
	return c.p
}

func (c *calibration) loss(temperature, bias float64) float64 {
	sum := 0.0
	for i, label := range c.labels {
		sum -= math.Log(max(float64(c.probabilities(i, temperature, bias)[label]), 1e-12))
	}
	return sum / float64(len(c.labels))
}

// fit finds the temperature and the bias of none with the least loss, by steps that
// are halved where none of the four directions is better. The loss has one minimum.
func (c *calibration) fit(bias float64) (temperature, noneBias, loss float64) {
	logT := 0.0
	loss = c.loss(1, bias)
	for step := .5; step > .005; {
		better := false
		for _, d := range [][2]float64{{step, 0}, {-step, 0}, {0, step}, {0, -step}} {
			t, b := min(max(logT+d[0], -2), 3), bias+d[1]
			if l := c.loss(math.Exp(t), b); l < loss {
				logT, bias, loss, better = t, b, l, true
			}
		}
		if !better {
			step /= 2
		}
	}
	return math.Exp(logT), bias, loss
}

// threshold is the least probability of a violation at which no more than a share of
// the quiet examples alarms; with the share of the others that then do, and the share
// of these whose likeliest service is the culprit.
func (c *calibration) threshold(temperature, bias, share float64) (threshold, caught, culprit float64) {
	var quiet []float64
	type alarm struct {
		p     float64
		right bool
	}
	var others []alarm
	for i, label := range c.labels {
		p := c.probabilities(i, temperature, bias)
		violation := 1 - float64(p[c.wide-1])
		if int(label) == c.wide-1 {
			quiet = append(quiet, violation)
			continue
		}
		likeliest := 0
		for j, v := range p[:c.wide-1] {
			if v > p[likeliest] {
				likeliest = j
			}
		}
		others = append(others, alarm{violation, likeliest == int(label)})
	}
	slices.Sort(quiet)
	if len(quiet) > 0 {
		allowed := int(share * float64(len(quiet)))
		threshold = math.Nextafter(quiet[len(quiet)-1-min(allowed, len(quiet)-1)], 2)
	}
	// As it is stored: what is above by less than a float32 can tell is not above.
	threshold = float64(math.Nextafter32(float32(threshold), 2))
	right := 0
	for _, a := range others {
		if a.p >= threshold {
			caught++
			if a.right {
				right++
			}
		}
	}
	return threshold, caught / float64(max(len(others), 1)), float64(right) / max(caught, 1)
}
