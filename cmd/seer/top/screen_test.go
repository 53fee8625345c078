package top

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gdamore/tcell/v2"
	"github.com/google/go-cmp/cmp"
)

var updateGolden = flag.Bool("update", false, "rewrite testdata")

// simulate draws m on a simulated terminal and returns what it shows: the
// text, then the styles that are not plain, one letter a cell.
func simulate(t *testing.T, m *model, w, h int, now time.Time) string {
	t.Helper()
	screen := tcell.NewSimulationScreen("UTF-8")
	if err := screen.Init(); err != nil {
		t.Fatal(err)
	}
	defer screen.Fini()
	screen.SetSize(w, h)
	var g grid
	g.reset(w, h)
	m.draw(&g, now)
	p := painter{palette: newPalette()}
	p.show(&g, screen)
	cells, gotW, gotH := screen.GetContents()
	if gotW != w || gotH != h {
		t.Fatalf("screen is %dx%d, want %dx%d", gotW, gotH, w, h)
	}
	var text, styles strings.Builder
	for y := range h {
		var line, style strings.Builder
		for _, c := range cells[y*w : (y+1)*w] {
			line.WriteString(string(c.Runes))
			style.WriteByte(styleLetter(c.Style))
		}
		text.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		styles.WriteString(strings.TrimRight(style.String(), " ") + "\n")
	}
	return text.String() + "---- styles\n" + styles.String()
}

func styleLetter(s tcell.Style) byte {
	fg, _, a := s.Decompose()
	switch {
	case a&tcell.AttrReverse != 0 && fg == tcell.ColorMaroon:
		return 'C'
	case a&tcell.AttrReverse != 0 && fg == tcell.ColorOlive:
		return 'N'
	case a&tcell.AttrReverse != 0:
		return 'R'
	case fg == tcell.ColorOlive:
		return 'W'
	case fg == tcell.ColorMaroon:
		return 'c'
	case fg == tcell.ColorTeal:
		return 't'
	case a&tcell.AttrBold != 0:
		return 'B'
	case a&tcell.AttrDim != 0:
		return '.'
	}
	return ' '
}

// golden compares got with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("screen differs from %s (-want +got, -update rewrites it):\n%s", path, diff)
	}
}

// played returns a model that has seen the generated host for a while.
func played(t *testing.T, containers, ticks int) (*model, time.Time) {
	t.Helper()
	m := newModel(time.Second)
	g := newGenerator(containers, epoch)
	for range ticks {
		m.apply(g.frame())
	}
	return m, g.now
}

func TestScreens(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	pages := []struct {
		name string
		keys string
	}{
		{"table", ""},
		{"service", "g"},
		{"runq", "Rjj"},
		{"detail", "\r"},
		{"help", "?"},
		{"filter", "/redis !redis-1"},
		{"paused", " "},
		{"calls", "e"},
		{"calls-filter", "e/redis"},
	}
	sizes := []struct{ w, h int }{{80, 24}, {120, 40}, {40, 10}}
	for _, page := range pages {
		for _, size := range sizes {
			name := fmt.Sprintf("%s-%dx%d", page.name, size.w, size.h)
			t.Run(name, func(t *testing.T) {
				m, now := played(t, 40, 305)
				for _, r := range page.keys {
					pressRune(m, r)
				}
				answerPage(m)
				golden(t, name, simulate(t, m, size.w, size.h, now))
			})
		}
	}
}

// answerPage gives the page that is open what it would ask for.
func answerPage(m *model) {
	if q, wanted := m.question(); wanted {
		m.answered(&answer{to: q, sockets: testSockets(), edges: testEdges()})
	}
}

func pressRune(m *model, r rune) {
	if r == '\r' {
		m.press(tcell.KeyEnter, 0)
		return
	}
	m.press(tcell.KeyRune, r)
}

// TestNoColor holds that a screen without colours loses nothing: what was
// coloured is still bold or reversed.
func TestNoColor(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	p := newPalette()
	for f := range p {
		fg, bg, _ := p[f].Decompose()
		if fg != tcell.ColorDefault || bg != tcell.ColorDefault {
			t.Errorf("face %d has colours %v on %v with NO_COLOR set", f, fg, bg)
		}
	}
	for _, f := range []face{faceWarn, faceCrit, faceNotice} {
		if _, _, a := p[f].Decompose(); a == tcell.AttrNone {
			t.Errorf("face %d cannot be told from plain text with NO_COLOR set", f)
		}
	}
}

// TestEverySize draws every page at every small size: none may panic.
func TestEverySize(t *testing.T) {
	m, now := played(t, 40, 25)
	m.link.err = os.ErrClosed
	var g grid
	for _, page := range []page{pageTable, pageDetail, pageHelp, pageCalls} {
		m.page = page
		m.detail = m.lines[0].key
		answerPage(m)
		for w := range 90 {
			for h := range 30 {
				for _, m.editing = range []bool{false, true} {
					g.reset(w, h)
					m.draw(&g, now)
				}
			}
		}
	}
}

// TestNothingYet holds the screens that have no data.
func TestNothingYet(t *testing.T) {
	m := newModel(time.Second)
	golden(t, "waiting", simulate(t, m, 80, 6, epoch))
	m.link.err, m.link.attempt, m.link.retry = os.ErrClosed, 3, epoch.Add(2*time.Second)
	golden(t, "disconnected", simulate(t, m, 80, 6, epoch))
}
