package topology

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func loadShop(t *testing.T) *App {
	t.Helper()
	app, err := Load("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return app
}

func TestLoad(t *testing.T) {
	app := loadShop(t)
	want := &Service{
		Name: "web", Kind: KindApp, Protocol: ProtocolHTTP, StandsFor: "node.js",
		Replicas: 2, Workers: 32, Backlog: 511, Pool: 16, CPULimit: 0.5,
		Line: 19,
		Endpoints: map[string]Endpoint{
			"browse": {
				{Work: &Work{CPU: 300 * time.Microsecond, CV: 1, Tail: 0.01, Reply: 4096}, Chance: 1, Repeat: 1, Line: 28},
				{Chance: 1, Repeat: 1, Line: 29, Parallel: []Step{
					{Call: &Target{"items", "list"}, Timeout: DefaultTimeout, Chance: 1, Repeat: 1, Line: 30},
					{Call: &Target{"ads", "pick"}, Timeout: 50 * time.Millisecond, Chance: 0.2, Repeat: 1, Line: 31},
				}},
			},
			"buy": {
				{Call: &Target{"items", "reserve"}, Timeout: DefaultTimeout, Chance: 1, Repeat: 2, Line: 33},
				{Call: &Target{"payment", "charge"}, Timeout: 200 * time.Millisecond, Retries: 1, Chance: 1, Repeat: 1, Line: 34},
				{Call: &Target{"orders", "push"}, Timeout: DefaultTimeout, Chance: 1, Repeat: 1, Line: 35},
				{Call: &Target{"audit", "publish"}, Timeout: DefaultTimeout, Async: true, Chance: 1, Repeat: 1, Line: 36},
			},
		},
	}
	if diff := cmp.Diff(want, app.Service("web")); diff != "" {
		t.Errorf("service web (-want +got):\n%s", diff)
	}
	if got, want := app.Load, (NominalLoad{Rate: 50, Connections: 64, Line: 6}); got != want {
		t.Errorf("load = %+v, want %+v", got, want)
	}
	for name, workers := range map[string]int{"balancer": 0, "items-cache": 2, "orders": 1, "items-db": 0} {
		if got := app.Service(name).Workers; got != workers {
			t.Errorf("workers of %s = %d, want %d", name, got, workers)
		}
	}
	for name, protocol := range map[string]Protocol{"balancer": ProtocolHTTP, "ledger": ProtocolMySQL, "audit": ProtocolAMQP} {
		if got := app.Service(name).Protocol; got != protocol {
			t.Errorf("protocol of %s = %q, want %q", name, got, protocol)
		}
	}
}

var ignoreLines = cmp.FilterPath(func(p cmp.Path) bool {
	field, ok := p.Last().(cmp.StructField)
	return ok && field.Name() == "Line"
}, cmp.Ignore())

// TestMarshal holds what is written to what is read: a campaign keeps its
// application beside its samples.
func TestMarshal(t *testing.T) {
	app := loadShop(t)
	data, err := app.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", data)
	if err != nil {
		t.Fatalf("%v\nin\n%s", err, data)
	}
	if diff := cmp.Diff(app, again, ignoreLines, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("Parse(Marshal(app)) (-want +got):\n%s", diff)
	}
	if twice, _ := again.Marshal(); string(twice) != string(data) {
		t.Errorf("Marshal is not stable:\n%s\nthen\n%s", data, twice)
	}
}

// TestJSON: the testbed hands a service to its process as JSON.
func TestJSON(t *testing.T) {
	app := loadShop(t)
	data, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	again := new(App)
	if err := json.Unmarshal(data, again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(app, again); diff != "" {
		t.Errorf("through JSON (-want +got):\n%s", diff)
	}
}

func TestBytes(t *testing.T) {
	tests := []struct {
		text string
		want Bytes
		back string // "": the same
	}{
		{"0", 0, ""},
		{"4097", 4097, ""},
		{"4096", 4096, "4KiB"},
		{"64KiB", 64 << 10, ""},
		{"2048KiB", 2 << 20, "2MiB"},
		{"3GiB", 3 << 30, ""},
	}
	for _, tt := range tests {
		got, err := ParseBytes(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", tt.text, got, err, tt.want)
		}
		back := tt.back
		if back == "" {
			back = tt.text
		}
		if got.String() != back {
			t.Errorf("Bytes(%d).String() = %q, want %q", got, got, back)
		}
	}
	for _, text := range []string{"", "-1", "1.5KiB", "4 KiB", "4kb", "KiB", "9007199254740993GiB", "99999999999999999999"} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func TestLoadMissing(t *testing.T) {
	if _, err := Load("testdata/none.yaml"); !os.IsNotExist(err) {
		t.Errorf("Load of a missing file: %v, want that it does not exist", err)
	}
	_, err := Parse("big.yaml", []byte(strings.Repeat("# much\n", maxFileBytes/6)))
	if err == nil || !strings.Contains(err.Error(), "larger than 1MiB") {
		t.Errorf("Parse of 1 MiB: %v, want a bound", err)
	}
}
