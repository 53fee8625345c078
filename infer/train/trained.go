package train

import (
	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/window"
)

// Trained is a model as evaluation takes it: something that predicts, has a threshold
// and can be kept.
type Trained struct{ *model.Model }

// Predictor returns a predictor of its own for each goroutine.
func (t Trained) Predictor() (window.Predictor, error) { return network.NewPredictor(t.Model) }

// SetThreshold sets the threshold of the alarm.
func (t Trained) SetThreshold(v float32) { t.Threshold = v }

// Save writes the model's file, which appears when it is whole.
func (t Trained) Save(path string) error { return t.Write(path) }

// Share is how much of a training is done, if no epoch is saved by patience.
func (p Progress) Share() float64 {
	if p.Epochs == 0 || p.Batches == 0 {
		return 0
	}
	return (float64(p.Epoch-1) + float64(p.Batch)/float64(p.Batches)) / float64(p.Epochs)
}
