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
		faceFault:  base.Bold(true),
		faceTrend:  base,
		faceKey:    base.Bold(true),
		faceNotice: base.Bold(true).Reverse(true),
	}
	if os.Getenv("NO_COLOR") != "" {
		return p
	}
	p[faceWarn] = p[faceWarn].Foreground(tcell.ColorOlive) // ANSI 3
	p[faceCrit] = p[faceCrit].Foreground(tcell.ColorMaroon)
	p[faceFault] = p[faceFault].Foreground(tcell.ColorMaroon)
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

// painter copies grids to a screen.
type painter struct {
	palette palette
	last    grid // what the screen holds
}

// show writes the cells of g that differ from what the screen holds; the
// screen in turn sends the terminal only those. Handing it every cell costs
// an allocation each (tcell keeps cells as strings).
func (p *painter) show(g *grid, screen tcell.Screen) {
	all := p.last.w != g.w || p.last.h != g.h
	if all {
		p.last.reset(g.w, g.h)
	}
	for i, c := range g.cells {
		if all || c != p.last.cells[i] {
			screen.SetContent(i%g.w, i/g.w, c.r, nil, p.palette.style(c.f))
			p.last.cells[i] = c
		}
	}
	screen.Show()
}
