package alarm

import (
	"fmt"
	"strings"
	"testing"
)

// judge makes a judgement of the probabilities of a, b and c.
func judge(a, b, c float32) *Judgement {
	j := Judge([]float32{a, b, c, 1 - a - b - c})
	return &j
}

// show writes a tick as the culprit's letter, in capitals where an episode begins.
func show(a Alarm) string {
	if !a.On {
		return "."
	}
	letter := string("abc"[a.Culprit])
	if a.New {
		return strings.ToUpper(letter)
	}
	return letter
}

func TestHysteresis(t *testing.T) {
	quiet := judge(0, 0, 0)
	for _, tt := range []struct {
		name  string
		ticks []*Judgement
		want  string
	}{
		{"below the threshold", []*Judgement{judge(.4, 0, 0), judge(.5, .05, 0)}, ".."},
		{"one tick is enough", []*Judgement{quiet, judge(.6, 0, 0), quiet, quiet, quiet, quiet}, ".Aaa.."},
		{"the sum counts", []*Judgement{judge(.3, .2, .2)}, "A"},
		{"hovering", []*Judgement{judge(.7, 0, 0), judge(.5, 0, 0), judge(.4, 0, 0), judge(.5, 0, 0), judge(.35, 0, 0), judge(.7, 0, 0)}, "Aaaaaa"},
		{"short gaps", []*Judgement{judge(.7, 0, 0), quiet, quiet, judge(.4, 0, 0), quiet, quiet, quiet}, "Aaaaaa."},
		{"a second onset", []*Judgement{judge(.7, 0, 0), quiet, quiet, quiet, judge(.7, 0, 0)}, "Aaa.A"},
		{"another is somewhat likelier", []*Judgement{judge(.7, 0, 0), judge(.3, .4, 0), judge(.4, .3, 0), judge(.3, .4, 0), judge(.3, .4, 0)}, "AaaaB"},
		{"another is much likelier", []*Judgement{judge(.7, 0, 0), judge(.1, .7, 0), judge(.1, .7, 0)}, "ABb"},
	} {
		h := Hysteresis{Options: Options{Threshold: .6, TickMS: 100}}
		got := ""
		for _, j := range tt.ticks {
			got += show(h.Next(j))
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Who always raises the alarm begins an episode every half minute.
func TestHysteresisRenews(t *testing.T) {
	h := Hysteresis{Options: Options{Threshold: .6, TickMS: 100}}
	episodes := 0
	for range 1200 {
		if h.Next(judge(.9, 0, 0)).New {
			episodes++
		}
	}
	if episodes != 4 {
		t.Errorf("%d episodes in two minutes, want 4", episodes)
	}
}

func TestJudge(t *testing.T) {
	j := Judge([]float32{.05, .2, .01, .3, .1, .02, .32})
	got := fmt.Sprintf("%.2f %d %.2f %.2f %.2f", j.Onset, j.Culprit(), j.Of(3), j.Of(4), j.Of(2))
	if want := "0.68 3 0.30 0.10 0.00"; got != want {
		t.Errorf("Judge = %s, want %s", got, want)
	}
}
