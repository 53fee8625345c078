package sim

// Random numbers are functions, not streams: a draw is a hash of who draws
// (the key of a call, derived from that of its caller) and of what for (the salt
// of a step). So a request takes the same time, misses the same caches and asks
// the same replicas whatever else happens in the run: twins that differ in a
// fault or an action agree in everything that these do not touch (common random
// numbers).

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// draw returns 64 random bits of key for one purpose.
func draw(key uint64, salt uint32) uint64 {
	return mix(key ^ uint64(salt)*0xd1342543de82ef95)
}

// saltOf names a purpose: n-th of its kind in the place called name.
func saltOf(name string, n int) uint32 {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return uint32(mix(h+uint64(n)*0x9e3779b97f4a7c15) >> 32)
}

// chanceOf turns a probability into what the upper 32 bits of a draw must be
// below. 1 is always true.
func chanceOf(p float64) uint64 {
	return uint64(min(max(p, 0), 1) * (1 << 32))
}

func happens(bits uint64, chance uint64) bool { return bits>>32 < chance }

// Salts of what is drawn once per call.
const (
	saltReplica = 0xa0000001 + iota*2
	saltTail
	saltLoss
	saltRequest
	saltPass
	saltLeak
	saltPaging
)
