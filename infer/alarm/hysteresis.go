package alarm

// Options say when an alarm begins and ends.
type Options struct {
	Threshold float32 `json:"threshold"` // of the probability of an onset, above 0
	TickMS    int64   `json:"tick_ms"`
}

const (
	releaseShare = 0.5    // of the threshold: below it, an alarm may end
	releaseTicks = 3      // after so many ticks
	switchFactor = 2      // how much likelier another culprit is that takes over at once
	switchTicks  = 2      // how long one that is just likelier takes
	renewMS      = 30_000 // how long an episode may wait for its onset
)

// Alarm is the state after a tick. The zero value is none.
type Alarm struct {
	On      bool
	Culprit int  // slot
	New     bool // this tick begins an episode
}

// Hysteresis makes alarms of judgements, tick after tick. The zero value of all but
// the options is the state before the first tick.
type Hysteresis struct {
	Options

	on         bool
	culprit    int
	age        int // ticks of the episode
	low        int // ticks in a row with a low probability
	challenger int
	challenges int // ticks in a row in which the challenger was likelier
}

// Next takes the next judgement.
func (h *Hysteresis) Next(j *Judgement) Alarm {
	if !h.on {
		if j.Onset < h.Threshold {
			return Alarm{}
		}
		h.on = true
		return h.begin(j.Culprit())
	}
	h.age++
	if j.Onset < releaseShare*h.Threshold {
		if h.low++; h.low >= releaseTicks {
			h.on = false
			return Alarm{}
		}
		return Alarm{On: true, Culprit: h.culprit}
	}
	h.low = 0
	if other := j.Culprit(); other != h.culprit {
		if other != h.challenger {
			h.challenger, h.challenges = other, 0
		}
		h.challenges++
		if h.challenges >= switchTicks || j.Of(other) >= switchFactor*j.Of(h.culprit) {
			return h.begin(other)
		}
	} else {
		h.challenges = 0
	}
	if int64(h.age)*h.TickMS >= renewMS {
		return h.begin(h.culprit)
	}
	return Alarm{On: true, Culprit: h.culprit}
}

func (h *Hysteresis) begin(culprit int) Alarm {
	h.culprit, h.age, h.low, h.challenger, h.challenges = culprit, 0, 0, -1, 0
	return Alarm{On: true, Culprit: culprit, New: true}
}
