// Package model is what training hands to prediction: the weights of a network, what
// its inputs mean and how they are normalised, how sure to be before an alarm, and
// how good it was when it was made; and the file APP.seer that holds all of it.
package model
