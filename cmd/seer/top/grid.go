package top

import (
	"io"
	"strings"
)

// face is what a cell means; a palette decides how that looks.
type face uint8

const (
	facePlain face = iota
	faceDim        // "-", zeros, explanations
	faceBold       // names, titles
	faceHead       // column headings
	faceSort       // the heading sorted by
	faceWarn       // contention worth a look
	faceCrit       // trouble
	faceFault      // a fault of the design: services that call each other in a circle
	faceTrend
	faceKey    // a key in the status bar
	faceNotice // a state that must be seen: paused, disconnected
	numFaces

	// faceSelected is added to the others on the selected line.
	faceSelected face = 0x80
)

type gridCell struct {
	r rune
	f face
}

// grid is one screenful of text. Drawing outside of it does nothing, so that
// no layout can fail on a small terminal.
type grid struct {
	w, h  int
	cells []gridCell
}

// reset empties the grid and gives it a size.
func (g *grid) reset(w, h int) {
	g.w, g.h = w, h
	if cap(g.cells) < w*h {
		g.cells = make([]gridCell, w*h)
	}
	g.cells = g.cells[:w*h]
	for i := range g.cells {
		g.cells[i] = gridCell{r: ' '}
	}
}

func (g *grid) put(x, y int, r rune, f face) {
	if x >= 0 && x < g.w && y >= 0 && y < g.h {
		g.cells[y*g.w+x] = gridCell{r, f}
	}
}

// text writes s and returns where it ended.
func (g *grid) text(x, y int, s string, f face) int {
	for _, r := range s {
		g.put(x, y, r, f)
		x++
	}
	return x
}

// right writes s so that it ends before x.
func (g *grid) right(x, y int, s string, f face) {
	g.text(x-len([]rune(s)), y, s, f)
}

// paint adds f to a whole line.
func (g *grid) paint(y int, f face) {
	for x := range g.w {
		if y >= 0 && y < g.h {
			g.cells[y*g.w+x].f |= f
		}
	}
}

// fill gives every cell of a line the face f.
func (g *grid) fill(y int, f face) {
	for x := range g.w {
		g.put(x, y, ' ', f)
	}
}

// writeTo prints the grid as plain text, without trailing spaces.
func (g *grid) writeTo(w io.Writer) error {
	var b strings.Builder
	for y := range g.h {
		var line strings.Builder
		for _, c := range g.cells[y*g.w : (y+1)*g.w] {
			line.WriteRune(c.r)
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
