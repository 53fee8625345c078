//go:build linux

package bpf

import "testing"

const (
	none     = testVerdictSocketTurnTURN_NONE
	received = testVerdictSocketTurnTURN_RECEIVED
	sent     = testVerdictSocketTurnTURN_SENT
)

type facts = testVerdictVerdictFacts

func loadVerdict(t *testing.T) *testVerdictObjects {
	t.Helper()
	spec, err := loadTestVerdict()
	var o testVerdictObjects
	loadTest(t, spec, err, &o)
	t.Cleanup(func() { o.Close() })
	return &o
}

// idle is a connection on which both ends spoke once, in an earlier pass too,
// and where rules 1 to 4 are silent: rule 5 decides.
func idle(change func(*facts)) facts {
	f := facts{
		WriteSeq: 1000, SndNxt: 1000,
		RcvNxt: 5000, RcvWup: 5000,
		Lrcvtime: 77, Lsndtime: 77,
		SndWl1: 5000,
		SegsIn: 2, SegsOut: 2, EarlierRcvNxt: 4900, EarlierWriteSeq: 900,
	}
	change(&f)
	return f
}

func TestDecideTurn(t *testing.T) {
	o := loadVerdict(t)
	tests := []struct {
		name  string
		facts facts
		want  testVerdictSocketTurn
	}{
		{"nothing said", facts{WriteSeq: 9, SndNxt: 9, RcvNxt: 4, RcvWup: 3}, none},
		{"nothing said, times differ by the handshake", facts{Lrcvtime: 8, Lsndtime: 5}, none},
		{"first bytes written and held back", facts{WriteSeq: 10, SndNxt: 9}, sent},

		{"1: written, not sent", idle(func(f *facts) { f.WriteSeq++ }), sent},
		{"1 before 2: answer written while the request is not acknowledged", idle(func(f *facts) {
			f.WriteSeq++
			f.RcvWup -= 100
		}), sent},
		{"1 across the wrap of sequence numbers", idle(func(f *facts) { f.WriteSeq, f.SndNxt = 3, ^uint32(0)-3 }), sent},

		{"2: received, not acknowledged", idle(func(f *facts) { f.RcvWup -= 100 }), received},
		{"2 before 3", idle(func(f *facts) { f.RcvWup -= 100; f.Lsndtime++ }), received},
		{"2 before 4", idle(func(f *facts) { f.RcvWup -= 100; f.PacketsOut = 3 }), received},
		{"2 across the wrap of sequence numbers", idle(func(f *facts) { f.RcvNxt, f.RcvWup = 5, ^uint32(0)-5 }), received},

		{"3: received later", idle(func(f *facts) { f.Lrcvtime++ }), received},
		{"3: sent later", idle(func(f *facts) { f.Lsndtime++ }), sent},
		{"3 before 4: request in, earlier answer not acknowledged", idle(func(f *facts) { f.Lrcvtime++; f.PacketsOut = 1 }), received},
		{"3 before 5", idle(func(f *facts) { f.Lrcvtime++; f.SndWl1 = f.RcvNxt }), received},
		{"3: received after jiffies wrapped", idle(func(f *facts) { f.Lrcvtime, f.Lsndtime = 2, ^uint32(0) }), received},
		{"3: sent after jiffies wrapped", idle(func(f *facts) { f.Lrcvtime, f.Lsndtime = ^uint32(0), 2 }), sent},
		{"3: received across the sign bit", idle(func(f *facts) { f.Lrcvtime, f.Lsndtime = 1<<31, 1<<31-1 }), received},
		{"3: sent across the sign bit", idle(func(f *facts) { f.Lrcvtime, f.Lsndtime = 1<<31-1, 1<<31 }), sent},

		{"4: in flight within one jiffy", idle(func(f *facts) { f.PacketsOut = 1 }), sent},
		{"4 before 5", idle(func(f *facts) { f.PacketsOut = 1; f.SndWl1 -= 100 }), sent},

		{"5: window moved by an acknowledgement", idle(func(*facts) {}), sent},
		{"5: window moved by data", idle(func(f *facts) { f.SndWl1 -= 100 }), received},

		{"keepalive: times move, sequence numbers stand, received stays", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq, uint32(received)
			f.Lsndtime++
		}), received},
		{"keepalive answered: sent stays", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq, uint32(sent)
			f.Lrcvtime++
		}), sent},
		{"window update after a long read: received stays", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq, uint32(received)
			f.SndWl1 = f.RcvNxt
		}), received},
		{"acknowledgement of what was sent: sent stays", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq, uint32(sent)
			f.SndWl1 -= 100
		}), sent},
		{"a segment counted and not yet taken in: sent stays", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq, uint32(sent)
			f.SegsIn++
		}), sent},
		{"sequence numbers stand, but there was no verdict", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq = f.RcvNxt, f.WriteSeq
			f.Lrcvtime++
		}), received},
		{"only bytes came since: received, whatever the rules say", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt-100, f.WriteSeq, uint32(sent)
			f.Lsndtime++
			f.PacketsOut = 1
		}), received},
		{"only bytes were written since: sent, whatever the rules say", idle(func(f *facts) {
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt, f.WriteSeq-100, uint32(received)
			f.Lrcvtime++
		}), sent},
		{"bytes came while earlier ones wait to be sent", idle(func(f *facts) {
			f.WriteSeq++
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = f.RcvNxt-100, f.WriteSeq, uint32(sent)
		}), received},
		{"both ends spoke since: the rules decide", idle(func(f *facts) {
			f.Earlier = uint32(sent)
			f.Lrcvtime++
		}), received},
		{"sequence numbers wrapped", idle(func(f *facts) {
			f.RcvNxt, f.RcvWup = 10, 10
			f.EarlierRcvNxt, f.EarlierWriteSeq, f.Earlier = ^uint32(0)-10, f.WriteSeq, uint32(sent)
		}), received},
		{"only ever received", idle(func(f *facts) { f.SegsOut = 0; f.Lrcvtime++ }), received},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.facts
			got := testVerdictSocketTurn(call(t, o.TestDecideTurn, o.Facts, &f))
			if got != tt.want {
				t.Errorf("decide_turn(%+v) = %v, want %v", tt.facts, got, tt.want)
			}
		})
	}
}

func TestTakes(t *testing.T) {
	o := loadVerdict(t)
	type state = testVerdictOwnerArgs
	const a, b = 100, 200
	tests := []struct {
		name      string
		in        state
		takes     bool
		owner     uint64
		confirmed uint32
	}{
		{"nobody had it", state{Holder: a, Scan: 1}, true, a, 1},
		{"init had nothing to compete with", state{Holder: a, Scan: 1, Init: 1}, true, a, 1},
		{"owner is seen again", state{Owner: a, Confirmed: 4, Holder: a, Scan: 5}, false, a, 5},
		{"second holder in the scan that confirmed the owner", state{Owner: a, Confirmed: 5, Holder: b, Scan: 5}, false, a, 5},
		{"second holder met before the owner in this scan", state{Owner: a, Confirmed: 4, Holder: b, Scan: 5}, false, a, 4},
		{"owner missing for a whole scan", state{Owner: a, Confirmed: 3, Holder: b, Scan: 5}, true, b, 5},
		{"guess replaced by a real holder", state{Owner: a, Confirmed: 5, Holder: b, Scan: 5, Weak: 1}, true, b, 5},
		{"guess confirmed", state{Owner: a, Confirmed: 0, Holder: a, Scan: 5, Weak: 1}, false, a, 5},
		{"init does not replace a guess", state{Owner: a, Confirmed: 0, Holder: b, Scan: 9, Weak: 1, Init: 1}, false, a, 0},
		{"init does not replace an owner that is gone", state{Owner: a, Confirmed: 1, Holder: b, Scan: 9, Init: 1}, false, a, 1},
		{"init confirms its own", state{Owner: b, Confirmed: 4, Holder: b, Scan: 5, Init: 1, Weak: 1}, false, b, 5},
		{"service takes what init passed on", state{Owner: a, Confirmed: 5, Holder: b, Scan: 5, Weak: 1}, true, b, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.in
			took := call(t, o.TestTakes, o.OwnerCall, &got) != 0
			if took != tt.takes || got.Owner != tt.owner || got.Confirmed != tt.confirmed {
				t.Errorf("takes(%+v) = %v, owner %d, confirmed %d; want %v, %d, %d",
					tt.in, took, got.Owner, got.Confirmed, tt.takes, tt.owner, tt.confirmed)
			}
		})
	}
}
