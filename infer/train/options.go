package train

import (
	"time"

	"seer/infer/model"
	"seer/infer/network"
)

// Options of a training. Zero values stand for the defaults that are given.
type Options struct {
	Kind string // network.Ships
	Seed uint64

	Epochs       int     // at most; 40
	Patience     int     // epochs without a better validation loss before it ends; 6
	LearningRate float64 // at first, falling to a twentieth; 0.008, or 0.002 with From
	Dropout      float64 // share that is silenced; 0.1, below 0 for none
	Batch        int     // the network's own, network.BatchOf
	// Workers share each batch, a goroutine each; 2. Another number is another order
	// of additions: nearly the same model, not exactly.
	Workers int

	// FalseAlarmShare is the share of quiet examples that may alarm; 0.01. The
	// threshold is the least that keeps to it on the validation set.
	FalseAlarmShare float64

	// From is a model to go on from. Its statistics are kept where it was made for the
	// same services.
	From *model.Model

	// Checkpoint is a file that holds the state after each epoch, so that a training
	// that was stopped goes on there. It is removed at the end.
	Checkpoint string

	// Progress, if not nil, is called after every batch, on Train's goroutine.
	Progress func(Progress)
}

// Progress is how far a training is.
type Progress struct {
	Epoch, Epochs int // the present one, from 1; the most there may be
	Batch         int // done in this epoch
	Batches       int
	Loss          float64 // mean of this epoch so far
	Passed        time.Duration
	Left          time.Duration // if no epoch is saved by patience
	History       []model.Epoch // epochs that are over
}

func (o Options) withDefaults() (Options, error) {
	if o.Kind == "" {
		o.Kind = network.Ships
		if o.From != nil {
			o.Kind = o.From.Kind
		}
	}
	batch, err := network.BatchOf(o.Kind)
	if err != nil {
		return o, err
	}
	rate := .008
	if o.From != nil {
		rate = .002
	}
	setDefault(&o.Batch, batch)
	setDefault(&o.Epochs, 40)
	setDefault(&o.Patience, 6)
	setDefault(&o.LearningRate, rate)
	setDefault(&o.Dropout, .1)
	setDefault(&o.Workers, 2)
	setDefault(&o.FalseAlarmShare, .01)
	o.Dropout = max(o.Dropout, 0)
	o.Workers = min(o.Workers, o.Batch)
	return o, nil
}

func setDefault[T int | float64](to *T, v T) {
	if *to == 0 {
		*to = v
	}
}
