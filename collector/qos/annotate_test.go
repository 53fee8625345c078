package qos

import (
	"strings"
	"testing"
)

// shop is front, which calls mid and pay; mid calls cache and db over a pool.
var shop = []Call{{"front", "mid"}, {"front", "pay"}, {"mid", "cache"}, {"mid", "db"}}

// usual is what every service of the shop shows when all is well, at 100 requests a
// second.
func usual() map[string]Signals {
	return map[string]Signals{
		"front": signals(SignalOutstanding, 1, SignalDownstream, .8, SignalArrived, 100, SignalAnswered, 100, SignalSend, 200),
		"mid":   signals(SignalOutstanding, .6, SignalDownstream, .3, SignalArrived, 100, SignalAnswered, 100, SignalSend, 50),
		"pay":   signals(SignalOutstanding, .2, SignalArrived, 20, SignalAnswered, 20),
		"cache": signals(SignalOutstanding, .05, SignalArrived, 100, SignalAnswered, 100),
		"db":    signals(SignalOutstanding, .25, SignalArrived, 40, SignalAnswered, 40),
	}
}

// signals takes pairs of a signal and its value.
func signals(pairs ...any) (s Signals) {
	for i := 0; i < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case int:
			s[pairs[i].(Signal)] = float32(v)
		case float64:
			s[pairs[i].(Signal)] = float32(v)
		}
	}
	return s
}

// caseOf changes what is usual.
func caseOf(calls []Call, change map[string]Signals) *Case {
	c := &Case{Entry: "front", Calls: calls}
	for _, name := range []string{"front", "mid", "pay", "cache", "db"} {
		a := Account{Service: name, Nominal: usual()[name], Now: usual()[name]}
		for k, v := range change[name] {
			a.Now[k] += v
		}
		c.Services = append(c.Services, a)
	}
	return c
}

func TestAnnotate(t *testing.T) {
	tests := []struct {
		name   string
		calls  []Call
		change map[string]Signals // added to what is usual
		want   string
		why    string // part of the sentence
	}{
		{
			name: "a fault in a leaf: its callers only wait for it",
			change: map[string]Signals{
				"db": signals(SignalOutstanding, 8), "mid": signals(SignalOutstanding, 8, SignalDownstream, 8),
				"front": signals(SignalOutstanding, 8, SignalDownstream, 8),
			},
			want: "db", why: "8.0 requests more than nominal wait in it",
		},
		{
			name: "a fault in a mid tier: what it calls has less to do",
			change: map[string]Signals{
				"mid":   signals(SignalOutstanding, 5, SignalUnread, 3, SignalDownstream, -.2, SignalRun, 2, SignalAnswered, -40),
				"front": signals(SignalOutstanding, 8, SignalDownstream, 8), "db": signals(SignalOutstanding, -.1, SignalAnswered, -16),
			},
			want: "mid", why: "its calls to others are not slow",
		},
		{
			name: "back-pressure through a pool: most wait in mid for a connection to db",
			change: map[string]Signals{
				"db": signals(SignalOutstanding, 15.5), "mid": signals(SignalOutstanding, 40, SignalDownstream, 15.5, SignalAnswered, -50),
				"front": signals(SignalOutstanding, 42, SignalDownstream, 40, SignalAnswered, -50),
			},
			want: "db",
		},
		{
			name: "a pool that leaks: most wait in mid, and db is idle",
			change: map[string]Signals{
				"mid":   signals(SignalOutstanding, 40, SignalDownstream, -.1, SignalAnswered, -50),
				"front": signals(SignalOutstanding, 42, SignalDownstream, 40, SignalAnswered, -50), "db": signals(SignalOutstanding, -.15, SignalAnswered, -20),
			},
			want: "mid",
		},
		{
			name: "a fault in the entry itself",
			change: map[string]Signals{
				"front": signals(SignalOutstanding, 3, SignalUnread, 6, SignalRun, 1.5), "mid": signals(SignalOutstanding, .1, SignalDownstream, .05),
			},
			want: "front",
		},
		{
			name: "a load spike: everybody has more to do",
			change: map[string]Signals{
				"front": signals(SignalOutstanding, 20, SignalDownstream, 18, SignalArrived, 200, SignalAnswered, 150),
				"mid":   signals(SignalOutstanding, 18, SignalDownstream, 2, SignalArrived, 200, SignalAnswered, 150),
			},
			want: CulpritLoad, why: "3.0 times as much",
		},
		{
			name: "a link without room: replies of db are under way",
			change: map[string]Signals{
				"db": signals(SignalSend, 3000, SignalNICTx, 2000), "mid": signals(SignalOutstanding, 6, SignalDownstream, 6),
				"front": signals(SignalOutstanding, 6, SignalDownstream, 6),
			},
			want: "db", why: "5000 bytes more than nominal unacknowledged",
		},
		{
			name: "lost packets of db: both ends have bytes on the way, but mid answers front",
			change: map[string]Signals{
				"db": signals(SignalSend, 70), "mid": signals(SignalOutstanding, 3, SignalDownstream, 3, SignalSend, 200),
				"front": signals(SignalOutstanding, 3, SignalDownstream, 3),
			},
			want: "db",
		},
		{
			name: "lost packets of mid: part of what front waits for has not come to it",
			change: map[string]Signals{
				"mid": signals(SignalOutstanding, 2, SignalDownstream, 2, SignalSend, 400), "db": signals(SignalSend, 70),
				"front": signals(SignalOutstanding, 4, SignalDownstream, 4),
			},
			want: "mid",
		},
		{
			name:  "calls in a circle: to blame is where requests come in",
			calls: append([]Call{{"db", "mid"}}, shop...),
			change: map[string]Signals{
				"mid": signals(SignalOutstanding, 20, SignalDownstream, 16), "db": signals(SignalOutstanding, 20, SignalDownstream, 16),
				"front": signals(SignalOutstanding, 20, SignalDownstream, 20),
			},
			want: "mid", why: "call each other in a circle",
		},
		{
			name:   "few requests, which hardly show at the entry",
			change: map[string]Signals{"pay": signals(SignalOutstanding, .1, SignalUnread, .1)},
			want:   "pay", why: "nothing like it anywhere else",
		},
		{
			name:   "few requests, and two services that may have been it",
			change: map[string]Signals{"pay": signals(SignalOutstanding, .1), "db": signals(SignalOutstanding, .08)},
			want:   CulpritUnknown, why: "no service behind it stands out",
		},
		{name: "nothing to be seen", want: CulpritUnknown, why: "no service behind it stands out"},
		{
			name: "mid waits for somebody whom nobody sees",
			change: map[string]Signals{
				"mid": signals(SignalOutstanding, 5, SignalDownstream, 5), "front": signals(SignalOutstanding, 5, SignalDownstream, 5),
			},
			want: CulpritUnknown, why: "none of them holds these",
		},
		{
			name: "no network: users' requests do not arrive",
			change: map[string]Signals{
				"front": signals(SignalOutstanding, .5, SignalDownstream, .5, SignalArrived, -80, SignalAnswered, -80),
				"mid":   signals(SignalArrived, -80, SignalAnswered, -80), "pay": signals(SignalAnswered, -16),
				"cache": signals(SignalAnswered, -80), "db": signals(SignalAnswered, -32, SignalSend, 500),
			},
			want: CulpritUnknown, why: "do not arrive",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := tt.calls
			if calls == nil {
				calls = shop
			}
			got := Annotate(caseOf(calls, tt.change))
			if got.Culprit != tt.want || !strings.Contains(got.Why, tt.why) {
				t.Errorf("Annotate() = %s: %s; want %s: ...%s", got.Culprit, got.Why, tt.want, tt.why)
			}
			if got.By != ByEvidence || got.Why == "" || len(got.Evidence) != 5 {
				t.Errorf("label = %+v, want the evidence of five services and a reason", got)
			}
			if got.Culprit != CulpritUnknown && got.Culprit != CulpritLoad && got.Evidence[0].Service != got.Culprit {
				t.Errorf("evidence begins with %s, want the culprit", got.Evidence[0].Service)
			}
		})
	}
	if got := Annotate(&Case{Entry: "front", Calls: shop}); got.Culprit != CulpritUnknown || !strings.Contains(got.Why, "nothing was measured") {
		t.Errorf("Annotate() of an entry that was not measured = %+v", got)
	}
}

// The order in which services and calls come does not matter.
func TestAnnotateOrder(t *testing.T) {
	c := caseOf(shop, map[string]Signals{
		"db": signals(SignalOutstanding, 8), "mid": signals(SignalOutstanding, 8, SignalDownstream, 8),
		"front": signals(SignalOutstanding, 8, SignalDownstream, 8),
	})
	for i := range c.Services {
		j := len(c.Services) - 1 - i
		if i < j {
			c.Services[i], c.Services[j] = c.Services[j], c.Services[i]
		}
	}
	if got := Annotate(c); got.Culprit != "db" {
		t.Errorf("Annotate() = %s: %s; want db", got.Culprit, got.Why)
	}
}
