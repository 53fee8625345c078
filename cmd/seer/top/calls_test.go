package top

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"

	"seer/collector/api"
)

// TestCallKeys drives the page of calls with keys and looks at what they left.
func TestCallKeys(t *testing.T) {
	type state struct {
		Page     page
		Selected string
		Detail   string
		Lines    int
	}
	const all = 18
	tests := []struct {
		keys string
		want state
	}{
		{"e", state{pageCalls, "external clients", "", all}},
		{"ee", state{pageTable, "external clients", "", all}},
		{"e\x1b", state{pageTable, "external clients", "", all}},
		{"ejj", state{pageCalls, "compose-post", "", all}},
		{"ejjk", state{pageCalls, "frontend", "", all}},
		{"e\r", state{pageCalls, "external clients", "", all}}, // nobody to open
		{"ej\r", state{pageDetail, "frontend", "frontend", all}},
		{"ej\r\x1b", state{pageCalls, "frontend", "frontend", all}},
		{"ej\rn", state{pageDetail, "compose-post", "compose-post", all}},
		{"ej\rnp", state{pageDetail, "frontend", "frontend", all}},
		{"ejj\rnn", state{pageDetail, "redis", "redis", all}}, // past user-timeline and a peer outside
		{"e/post", state{pageCalls, "external clients", "", 7}},
		{"e/post\r\x1b", state{pageCalls, "external clients", "", all}},
		{"e/post\r\x1b\x1b", state{pageTable, "external clients", "", all}},
		{"ej\r?\x1b\x1b", state{pageCalls, "frontend", "frontend", all}},
		{"je", state{pageCalls, "user-timeline", "", all}}, // where the table's line is in the tree
		{"\re", state{pageCalls, "compose-post", "", all}},
	}
	for _, tt := range tests {
		m, _ := played(t, 40, 305)
		for _, r := range tt.keys {
			switch r {
			case '\r':
				m.press(tcell.KeyEnter, 0)
			case '\x1b':
				m.press(tcell.KeyEscape, 0)
			default:
				m.press(tcell.KeyRune, r)
			}
			answerPage(m)
		}
		got := state{m.page, "", "", len(m.calls.lines)}
		if len(m.calls.lines) > 0 {
			got.Selected = m.calls.lines[m.calls.cursor()].Server
		}
		if d := m.find(m.detail); d != nil && m.detail.id == 0 {
			got.Detail = d.name
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("after keys %q (-want +got):\n%s", tt.keys, diff)
		}
	}
}

// TestStems holds what draws the tree, on terminals with lines and without.
func TestStems(t *testing.T) {
	edge := func(client, server string) api.EdgeRow {
		return api.EdgeRow{ClientService: client, ClientCgroupID: 1, ServerService: server, ServerCgroupID: 1, Port: 80}
	}
	rows := []api.EdgeRow{edge("a", "b"), edge("b", "c"), edge("b", "d"), edge("a", "e"), edge("e", "f")}
	rows = append(rows, api.EdgeRow{ClientService: "e", ClientCgroupID: 1, ServerService: "external", Port: 443})
	for ascii, want := range map[bool]string{
		false: "a\n├─b\n│ ├─c\n│ └─d\n└─e\n  ├─f\n  └╌external",
		true:  "a\n|-b\n| |-c\n| `-d\n`-e\n  |-f\n  `.external",
	} {
		m := newModel(time.Second)
		m.ascii = ascii
		m.setCalls(rows, nil)
		var got []string
		for _, l := range m.calls.lines {
			got = append(got, l.stem+l.Server)
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), got); diff != "" {
			t.Errorf("ascii %v (-want +got):\n%s", ascii, diff)
		}
	}
}

// TestErrorsRise holds that errors stand out in the answer in which they rose, and
// that a question that failed leaves what was known.
func TestErrorsRise(t *testing.T) {
	m, now := played(t, 12, 305)
	m.page = pageCalls
	rows := testEdges()
	shows := func(text string) bool {
		return strings.Contains(strings.Split(simulate(t, m, 100, 30, now), "---- styles")[0], text)
	}
	m.setCalls(slices.Clone(rows), nil)
	if shows("!17") || !shows(" 17 ") {
		t.Error("errors of the first answer are marked, or are not there")
	}
	rows[2].Unanswered++
	m.setCalls(slices.Clone(rows), nil)
	if !shows("!18") {
		t.Error("errors that rose are not marked")
	}
	m.setCalls(slices.Clone(rows), nil)
	if shows("!18") {
		t.Error("errors that stand still are marked")
	}
	m.setCalls(nil, errors.New("seer is busy"))
	if !shows("who calls whom: seer is busy") || !shows("frontend") {
		t.Error("a failed question is not said, or takes away what was known")
	}
}

// TestQuestions holds what each page asks for, and that an answer is not shown on
// another page than that which asked.
func TestQuestions(t *testing.T) {
	m, _ := played(t, 12, 3)
	if q, wanted := m.question(); wanted {
		t.Errorf("the table asks %+v, want nothing", q)
	}
	m.press(tcell.KeyRune, 'e')
	calls, _ := m.question()
	m.press(tcell.KeyRune, 'e')
	m.press(tcell.KeyEnter, 0)
	detail, _ := m.question()
	if calls.page != pageCalls || detail.page != pageDetail || detail.of != m.detail {
		t.Errorf("the pages ask %+v and %+v", calls, detail)
	}
	if m.answered(&answer{to: calls, edges: testEdges()}) || m.calls.known || m.peers != nil {
		t.Error("an answer to the page of calls is taken by the detail page")
	}
	if !m.answered(&answer{to: detail, edges: testEdges()}) || len(m.peers) == 0 {
		t.Error("an answer to the detail page is not taken")
	}
}

// TestPeers holds who calls a container and a service, and whom they call.
func TestPeers(t *testing.T) {
	m, _ := played(t, 12, 305)
	peers := func(name string) string {
		for _, lines := range m.shown().lines {
			for _, l := range lines {
				if l.name == name {
					m.open(l.key)
				}
			}
		}
		m.setPeers(testEdges(), nil)
		var got []string
		for i := range m.peers {
			p := &m.peers[i]
			direction := "<"
			if p.out {
				direction = ">"
			}
			got = append(got, direction+p.name()+":"+portText(&p.Edge))
		}
		return strings.Join(got, " ")
	}
	for name, want := range map[string]string{
		"compose-post-0":  "<frontend-0:8080 <unit013.service:9100 >user-timeline-0:8081",
		"compose-post-2":  "",
		"frontend":        "<external clients:443 <unit013.service:9100 >compose-post:8080 >redis:6379 >user-timeline:8081",
		"redis":           "<frontend:6379 <redis:6379 <unit013.service:9100 <user-timeline:6379 >redis:6379",
		"compose-post-1":  "<user-timeline-0:8080 >external:5432",
		"user-timeline-1": "<frontend-0:8081 >redis-1:6379",
	} {
		if got := peers(name); got != want {
			t.Errorf("calls of %s = %q, want %q", name, got, want)
		}
	}
}

// TestLayoutCalls holds for every width that columns neither overlap nor leave the
// screen.
func TestLayoutCalls(t *testing.T) {
	for width := range 200 {
		for _, longest := range []int{0, 9, 30, 90} {
			names, columns := layoutCalls(width, longest, width%2 == 0)
			end := names
			for _, c := range columns {
				if c.end != end+c.width || c.end > width {
					t.Fatalf("layoutCalls(%d, %d) overlaps or leaves the screen at %s", width, longest, c.title)
				}
				end = c.end
			}
			if names > width || width >= 80 && len(columns) < 5 {
				t.Errorf("layoutCalls(%d, %d) = names %d, %d columns", width, longest, names, len(columns))
			}
		}
	}
}
