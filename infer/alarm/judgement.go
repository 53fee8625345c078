package alarm

// kept is how many services a judgement remembers.
const kept = 4

// Judgement is what a predictor said of one tick, in few bytes: the likeliest
// services, likeliest first, and how likely it is that any starts a violation.
type Judgement struct {
	Onset float32 // probability that a violation starts within the horizon
	slot  [kept]int16
	p     [kept]float32
}

// Judge sums up the probabilities of a window.Predictor: one a slot, and that of
// none in the last place.
func Judge(p []float32) Judgement {
	services := p[:len(p)-1]
	j := Judgement{Onset: min(1, max(0, 1-p[len(p)-1]))}
	for i := range j.slot {
		j.slot[i], j.p[i] = -1, -1
	}
	for slot, v := range services {
		if v <= j.p[kept-1] {
			continue
		}
		at := kept - 1
		for ; at > 0 && v > j.p[at-1]; at-- {
			j.slot[at], j.p[at] = j.slot[at-1], j.p[at-1]
		}
		j.slot[at], j.p[at] = int16(slot), v
	}
	return j
}

// Culprit returns the likeliest slot.
func (j *Judgement) Culprit() int { return int(j.slot[0]) }

// Of returns the probability of a slot, 0 where it is not among the likeliest.
func (j *Judgement) Of(slot int) float32 {
	for i, s := range j.slot {
		if int(s) == slot {
			return j.p[i]
		}
	}
	return 0
}
