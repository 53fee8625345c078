package top

import (
	"os"

	"github.com/gdamore/tcell/v2"
)

// palette turns faces into styles. It uses the terminal's own foreground and
// background and, of its 16 colours, only those that are readable on both
// light and dark ones; what a colour says is also said by an attribute and a
// character, so that nothing is lost with NO_COLOR (https://no-color.org).
type palette [numFaces]tcell.Style

// newPalette chooses attributes, and colours unless NO_COLOR is set.
func newPalette() palette {
	base := tcell.StyleDefault
	p := palette{
		facePlain:  base,
		faceDim:    base.Dim(true),
		faceBold:   base.Bold(true),
		faceHead:   base.Underline(true),
		faceSort:   base.Underline(true).Bold(true),
		faceWarn:   base.Bold(true),
		faceCrit:   base.Bold(true).Reverse(true),
		faceTrend:  base,
		faceKey:    base.Bold(true),
		faceNotice: base.Bold(true).Reverse(true),
	}
	if os.Getenv("NO_COLOR") != "" {
		return p
	}
	p[faceWarn] = p[faceWarn].Foreground(tcell.ColorOlive) // ANSI 3
	p[faceCrit] = p[faceCrit].Foreground(tcell.ColorMaroon)
	p[faceTrend] = p[faceTrend].Foreground(tcell.ColorTeal)
	p[faceKey] = p[faceKey].Foreground(tcell.ColorTeal)
	p[faceSort] = p[faceSort].Foreground(tcell.ColorTeal)
	p[faceNotice] = p[faceNotice].Foreground(tcell.ColorOlive)
	return p
}

// style returns how a cell looks. The selected line is reversed, and on it a
// face that is reversed itself is not, so that both stay visible.
func (p *palette) style(f face) tcell.Style {
	s := p[f&^faceSelected]
	if f&faceSelected != 0 {
		_, _, attributes := s.Decompose()
		s = s.Dim(false).Reverse(attributes&tcell.AttrReverse == 0)
	}
	return s
}

// show copies the grid to the screen, which writes only what changed.
func (p *palette) show(g *grid, screen tcell.Screen) {
	for y := range g.h {
		for x := range g.w {
			c := g.cells[y*g.w+x]
			screen.SetContent(x, y, c.r, nil, p.style(c.f))
		}
	}
	screen.Show()
}
