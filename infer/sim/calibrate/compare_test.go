package calibrate

import (
	"math"
	"testing"
)

// Both ends of a comparison are told apart, and what is too faint is not judged.
func TestDepthError(t *testing.T) {
	tests := []struct {
		first, second, want float64
		told                bool
	}{
		{1, 1.25, .25, true},
		{2, 1, -.5, true},
		{.02, .011, -.45, true},
		{.009, 1, 0, false},
		{1, .009, 0, false},
	}
	for _, tt := range tests {
		p := ServicePair{Outstanding: [2]float64{tt.first, tt.second}}
		if got, told := p.DepthError(); math.Abs(got-tt.want) > 1e-9 || told != tt.told {
			t.Errorf("DepthError(%v, %v) = %v, %v, want %v, %v", tt.first, tt.second, got, told, tt.want, tt.told)
		}
	}
}
