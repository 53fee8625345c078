package campaign

// matchMS is how far apart the onsets of two violations that match may lie.
const matchMS = 2000

// Agreement tells how far two runs of one plan agree: the share of the
// violations of both that have a match in the other, of the same service, that
// overlaps it or begins within two seconds. It is 1 for two runs without any.
func Agreement(a, b []Violation) float64 {
	if len(a)+len(b) == 0 {
		return 1
	}
	return float64(matched(a, b)+matched(b, a)) / float64(len(a)+len(b))
}

// matched counts the violations of a that have a match in b.
func matched(a, b []Violation) int {
	n := 0
	for _, v := range a {
		for _, w := range b {
			near := v.OnsetMS-matchMS <= w.OnsetMS && w.OnsetMS <= v.OnsetMS+matchMS
			overlap := v.OnsetMS < w.EndMS && w.OnsetMS < v.EndMS
			if v.Service == w.Service && (near || overlap) {
				n++
				break
			}
		}
	}
	return n
}
