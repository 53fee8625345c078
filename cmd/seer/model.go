package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"seer/infer/baseline"
	"seer/infer/evaluate"
	"seer/infer/model"
	"seer/infer/network"
	"seer/infer/train"
	"seer/infer/window"
)

// trainer makes a model of training data. train and validation are sources of the
// data's runs; progress, which may be nil, takes the share that is done.
type trainer func(ctx context.Context, d *window.Data, train, validation window.Source, progress func(float64)) (trained, error)

// trained is a model that can be tuned and kept.
type trained interface {
	evaluate.Model
	Save(path string) error
	SetThreshold(float32)
}

// trainers are the kinds of models that `seer train` makes.
var trainers = func() map[string]trainer {
	all := map[string]trainer{}
	for _, name := range baseline.Names {
		all[name] = trainBaseline(name)
	}
	for _, name := range network.Kinds() {
		all[name] = trainNetwork(name)
	}
	return all
}()

func trainNetwork(kind string) trainer {
	return func(ctx context.Context, d *window.Data, examples, validation window.Source, progress func(float64)) (trained, error) {
		o := train.Options{Kind: kind}
		if progress != nil {
			o.Progress = func(p train.Progress) { progress(p.Share()) }
		}
		m, err := train.Train(ctx, examples, validation, o)
		if err != nil {
			return nil, err
		}
		m.Scale = d.Scale
		return train.Trained{Model: m}, nil
	}
}

func trainBaseline(name string) trainer {
	return func(ctx context.Context, d *window.Data, train, validation window.Source, progress func(float64)) (trained, error) {
		m, err := baseline.Train(ctx, name, d.Scale, train, validation, progress)
		if err != nil {
			return nil, err
		}
		return m, nil
	}
}

// candidate is a model ready to be judged.
type candidate struct {
	name      string
	layout    *window.Layout
	scale     *window.Scale
	threshold float32
	model     evaluate.Model
}

// formats are the files that hold models, by how they begin.
var formats = []struct {
	is   func(head []byte) bool
	load func(path string) (*candidate, error)
}{
	{baseline.IsFile, func(path string) (*candidate, error) {
		m, err := baseline.Load(path)
		if err != nil {
			return nil, err
		}
		return &candidate{m.Name, m.Layout, m.Scale, m.Threshold, m}, nil
	}},
	{model.IsFile, func(path string) (*candidate, error) {
		m, err := model.Read(path)
		if err != nil {
			return nil, err
		}
		if m.Scale == nil {
			return nil, fmt.Errorf("%s: it does not say how its examples were standardised", path)
		}
		return &candidate{m.Kind, &m.Layout, m.Scale, m.Threshold, train.Trained{Model: m}}, nil
	}},
}

// loadModel reads a model's file, whatever kind of model it is.
func loadModel(path string) (*candidate, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: no such file: make one with `seer train`", path)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	for _, format := range formats {
		if format.is(head[:n]) {
			c, err := format.load(path)
			if err != nil {
				return nil, fmt.Errorf("%w: make another with `seer train`", err)
			}
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s: no model, or of a newer seer: make one with `seer train --out %s`", path, path)
}

func trainerNames() []string {
	return append(network.Kinds(), baseline.Names...)
}

func trainerOf(name string) (trainer, error) {
	if t := trainers[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("no kind of model %q: want one of %s", name, strings.Join(trainerNames(), ", "))
}
