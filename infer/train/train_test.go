package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"seer/infer/model"
	"seer/infer/network"
)

// judge returns which share of the examples before a violation raises an alarm, which
// of all of them names the culprit with it, and which share of the others alarms.
func judge(t *testing.T, m *model.Model, c *chain) (caught, right, alarmed float64) {
	t.Helper()
	p, err := network.NewPredictor(m)
	if err != nil {
		t.Fatal(err)
	}
	var before, quiet float64
	out := make([]float32, services+2)
	for i, x := range c.x {
		p.Predict(x, c.mask, out)
		alarm := 1-out[services+1] >= m.Threshold
		if c.label[i] == services+1 {
			quiet++
			if alarm {
				alarmed++
			}
			continue
		}
		before++
		if alarm {
			caught++
			if best := slices.Index(out, slices.Max(out[:services])); best == int(c.label[i]) {
				right++
			}
		}
	}
	return caught / before, right / before, alarmed / quiet
}

func TestLearns(t *testing.T) {
	var last Progress
	m, err := Train(context.Background(), newChain(1, 800), newChain(2, 300), Options{
		Seed: 1, Epochs: 6, FalseAlarmShare: .02, Progress: func(p Progress) { last = p },
	})
	if err != nil {
		t.Fatal(err)
	}
	caught, right, alarmed := judge(t, m, newChain(3, 500))
	t.Logf("caught %.3f, culprit too %.3f, false alarms %.3f, temperature %.2f, bias %.2f, %+v", caught, right, alarmed,
		m.Temperature, m.NoneBias, m.Card)
	if caught < .9 || right < .85 || alarmed > .06 {
		t.Errorf("caught %.3f, culprit too %.3f, false alarms %.3f; want at least .9, .85, at most .06", caught, right, alarmed)
	}
	if last.Epoch != len(m.Card.History) || last.Batch != last.Batches || last.Batches != 25 || len(m.Card.History) < 2 {
		t.Errorf("last progress %+v with %d epochs over, want its last batch of 25", last, len(m.Card.History))
	}
	if b, err := m.Encode(); err != nil || len(b) > 1<<20 {
		t.Errorf("the model has %d bytes, %v; want less than 1 MB", len(b), err)
	}
}

// TestShuffledLabels takes the meaning out of the labels: whatever is still predicted
// would come from the labels' side of the data, or from a mistake of the judge's.
func TestShuffledLabels(t *testing.T) {
	shuffled := func(c *chain) *chain {
		rand.New(rand.NewPCG(4, 4)).Shuffle(len(c.label), func(i, j int) {
			c.label[i], c.label[j] = c.label[j], c.label[i]
		})
		return c
	}
	held := shuffled(newChain(2, 500))
	m, err := Train(context.Background(), shuffled(newChain(1, 600)), held, Options{Seed: 1, Epochs: 3, FalseAlarmShare: .02})
	if err != nil {
		t.Fatal(err)
	}
	if caught, right, _ := judge(t, m, shuffled(newChain(3, 500))); caught > .1 || right > .05 {
		t.Errorf("with shuffled labels %.3f are caught, %.3f with their culprit; want about .02 and less", caught, right)
	}
	// No better than to know how often each answer is right.
	entropy := 0.
	for label := range int32(services + 2) {
		n := 0.
		for _, l := range held.label {
			if l == label {
				n++
			}
		}
		if n > 0 {
			entropy -= n / 500 * math.Log(n/500)
		}
	}
	if loss := m.Card.Metrics["validation_loss"]; loss < .95*entropy {
		t.Errorf("with shuffled labels the loss is %.3f, below the %.3f of the base rates", loss, entropy)
	}
}

func TestCalibrated(t *testing.T) {
	// Logits that are twice too sure, of labels drawn by the true ones; none is
	// underrated by 1.
	rng := rand.New(rand.NewPCG(8, 8))
	c := calibration{wide: 3, used: []bool{true, true, true}}
	for range 20000 {
		a, b, none := rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()
		sum := math.Exp(a) + math.Exp(b) + math.Exp(none)
		label, u := int32(2), rng.Float64()*sum
		if u < math.Exp(a) {
			label = 0
		} else if u < math.Exp(a)+math.Exp(b) {
			label = 1
		}
		c.logits = append(c.logits, float32(2*a), float32(2*b), float32(2*(none-1)))
		c.labels = append(c.labels, label)
	}
	temperature, bias, _ := c.fit(0)
	if math.Abs(temperature-2) > .1 || math.Abs(bias-1) > .1 {
		t.Errorf("fit = temperature %.2f, bias %.2f, want 2 and 1", temperature, bias)
	}
	for _, share := range []float64{0, .01, .1} {
		threshold, _, _ := c.threshold(temperature, bias, share)
		quiet, alarms := 0., 0.
		for i, label := range c.labels {
			if label == 2 {
				quiet++
				if 1-c.probabilities(i, temperature, bias)[2] >= float32(threshold) {
					alarms++
				}
			}
		}
		if got := alarms / quiet; got > share || got < share-.01 {
			t.Errorf("threshold(%v) alarms at %v of what is quiet", share, got)
		}
	}
}

var short = Options{Seed: 5, Epochs: 4, Patience: 9}

// TestResumes interrupts a training in its third epoch: it must end where one ends that
// was left alone.
func TestResumes(t *testing.T) {
	want, err := Train(context.Background(), newChain(1, 200), newChain(2, 100), short)
	if err != nil {
		t.Fatal(err)
	}
	o := short
	o.Checkpoint = filepath.Join(t.TempDir(), "hotel.training")
	ctx, cancel := context.WithCancel(context.Background())
	o.Progress = func(p Progress) {
		if p.Epoch == 3 && p.Batch == 2 {
			cancel()
		}
	}
	if _, err := Train(ctx, newChain(1, 200), newChain(2, 100), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("Train of a cancelled context = %v, want %v", err, context.Canceled)
	}
	other := o
	other.Seed = 6
	if _, err := Train(context.Background(), newChain(1, 200), newChain(2, 100), other); !errors.Is(err, ErrCheckpoint) ||
		!strings.Contains(err.Error(), "remove it") {
		t.Errorf("Train with another seed = %v, want an error that says what to do", err)
	}
	epochs := 0
	o.Progress = func(p Progress) { epochs = max(epochs, len(p.History)+1) }
	got, err := Train(context.Background(), newChain(1, 200), newChain(2, 100), o)
	if err != nil {
		t.Fatal(err)
	}
	ignore := cmp.Options{cmpopts.IgnoreFields(model.Card{}, "Trained"), cmpopts.IgnoreFields(model.Epoch{}, "Seconds")}
	if d := cmp.Diff(want, got, ignore...); d != "" {
		t.Errorf("a resumed training differs (-whole +resumed):\n%s", d)
	}
	if _, err := os.Stat(o.Checkpoint); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the checkpoint is left: %v", err)
	}
}

func TestGoesOn(t *testing.T) {
	first, err := Train(context.Background(), newChain(1, 400), newChain(2, 200), Options{Seed: 5, Epochs: 5})
	if err != nil {
		t.Fatal(err)
	}
	before := slices.Clone(first.Weights[0].Numbers)
	o := Options{Seed: 7, Epochs: 1, From: first}
	second, err := Train(context.Background(), newChain(11, 200), newChain(2, 200), o)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := first.Card.History[0].Loss, second.Card.History[0].Loss; b > .7*a {
		t.Errorf("from stored weights the first epoch's loss is %.3f, from nothing %.3f: want far less", b, a)
	}
	if !slices.Equal(before, first.Weights[0].Numbers) || slices.Equal(before, second.Weights[0].Numbers) {
		t.Error("the model that was gone on from changed, or the new one did not")
	}
	o.Kind = network.Residual
	if _, err := Train(context.Background(), newChain(11, 200), newChain(2, 200), o); !errors.Is(err, model.ErrOther) {
		t.Errorf("Train of another network from this one = %v, want %v", err, model.ErrOther)
	}
}

func TestTooLittle(t *testing.T) {
	quiet := newChain(1, 100)
	for i := range quiet.label {
		quiet.label[i] = services + 1
	}
	_, err := Train(context.Background(), quiet, newChain(2, 100), short)
	if !errors.Is(err, ErrTooLittle) || !strings.Contains(err.Error(), "seer twin") {
		t.Errorf("Train without a violation = %v, want an error that says what to do", err)
	}
	nan := newChain(1, 100)
	nan.x[50][3] = float32(math.NaN())
	if _, err := Train(context.Background(), nan, newChain(2, 100), short); !errors.Is(err, model.ErrNumber) {
		t.Errorf("Train on NaN = %v, want %v", err, model.ErrNumber)
	}
}
