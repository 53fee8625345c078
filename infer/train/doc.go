// Package train makes models: passes over a source of examples until the loss on a
// second one rises, then calibration on that one. The same seed, sources and number of
// workers give the same model, also when the training was interrupted in between.
package train
