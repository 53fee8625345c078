package plot

import (
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"seer/infer/campaign"
)

// The colours are Okabe and Ito's, which people who confuse red and green can
// tell apart.
var (
	black     = color.NRGBA{A: 255}
	grey      = color.NRGBA{R: 150, G: 150, B: 150, A: 255}
	blue      = color.NRGBA{R: 0, G: 114, B: 178, A: 255}
	vermilion = color.NRGBA{R: 213, G: 94, B: 0, A: 255}

	classes = []struct {
		class  campaign.Class
		colour color.NRGBA
	}{
		{campaign.ClassApplication, color.NRGBA{R: 204, G: 121, B: 167, A: 90}},
		{campaign.ClassCompute, color.NRGBA{R: 230, G: 159, B: 0, A: 90}},
		{campaign.ClassNetwork, color.NRGBA{R: 86, G: 180, B: 233, A: 90}},
		{campaign.ClassMemory, color.NRGBA{R: 0, G: 158, B: 115, A: 90}},
		{campaign.ClassDisk, color.NRGBA{R: 120, G: 90, B: 60, A: 90}},
		{campaign.ClassLoad, color.NRGBA{R: 240, G: 228, B: 66, A: 130}},
	}
)

var targetStyle = draw.LineStyle{Color: vermilion, Width: 1, Dashes: []vg.Length{4, 3}}

func classColour(c campaign.Class) color.NRGBA {
	for _, known := range classes {
		if known.class == c {
			return known.colour
		}
	}
	return color.NRGBA{A: 40}
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

func textStyle(size vg.Length) draw.TextStyle {
	return draw.TextStyle{Color: black, Font: sans(size), Handler: plot.DefaultTextHandler}
}

func seconds(ms int64) float64 { return float64(ms) / 1000 }

// panels makes every plot, top to bottom. Only the last has a labelled axis.
func (t *timeline) panels() []panel {
	var out []panel
	for _, u := range t.users {
		label := fmt.Sprintf("latency of %s, ms\np%g and median", u.qos.Service, u.qos.Percentile)
		out = append(out, panel{t.latencyPlot(u), label, latencyHeight})
	}
	out = append(out, panel{t.ratePlot(), "requests/s,\nfailed", panelHeight})
	for _, d := range t.depths {
		p := t.newPlot()
		p.Add(line(d.mean, blue, 0.8))
		fromZero(p)
		out = append(out, panel{p, fmt.Sprintf("%s\n%s", d.queue, t.service), panelHeight})
	}
	last := out[len(out)-1].Plot
	last.X.Label.Text = "time since the start"
	last.X.Tick.Marker = timeTicks{}
	return out
}

func (t *timeline) newPlot() *plot.Plot {
	p := plot.New()
	p.X.Min, p.X.Max = t.from.Seconds(), t.to.Seconds()
	p.X.Tick.Marker = plot.ConstantTicks(nil)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(8), sans(8)
		a.LineStyle.Color, a.Tick.LineStyle.Color = grey, grey
		a.Padding = 0
	}
	p.Add(shades(t.faults))
	return p
}

// latencyPlot shows a promise. Its scale is logarithmic: a violation can be a
// thousand times the target.
func (t *timeline) latencyPlot(u *users) *plot.Plot {
	p := t.newPlot()
	low, high := u.qos.TargetMS, u.qos.TargetMS
	for _, xys := range []plotter.XYs{u.median, u.percentile} {
		for _, xy := range xys {
			low, high = min(low, xy.Y), max(high, xy.Y)
		}
	}
	p.Y.Min, p.Y.Max = max(low, 1e-3)*0.8, high*1.6
	p.Y.Scale = plot.LogScale{}
	p.Y.Tick.Marker = plainLogTicks{}
	for _, xys := range []plotter.XYs{u.median, u.percentile} {
		for i := range xys {
			xys[i].Y = max(xys[i].Y, p.Y.Min)
		}
	}

	marks := violationMarks{service: u.qos.Service, targetMS: u.qos.TargetMS, all: t.violations}
	target := &plotter.Line{
		XYs:       plotter.XYs{{X: p.X.Min, Y: u.qos.TargetMS}, {X: p.X.Max, Y: u.qos.TargetMS}},
		LineStyle: targetStyle,
	}
	p.Add(line(u.median, grey, 0.8), line(u.percentile, blue, 1), target, marks)
	return p
}

func (t *timeline) ratePlot() *plot.Plot {
	p := t.newPlot()
	for _, u := range t.users {
		p.Add(line(u.rate, blue, 0.8), line(u.failed, vermilion, 0.8))
	}
	fromZero(p)
	return p
}

// fromZero sets a linear scale that begins at zero, and some room on top.
func fromZero(p *plot.Plot) {
	p.Y.Min = 0
	if !(p.Y.Max > 0) {
		p.Y.Max = 1
	}
	p.Y.Max *= 1.1
	p.Y.Tick.Marker = fewTicks{}
}

func line(xys plotter.XYs, c color.Color, width vg.Length) *plotter.Line {
	return &plotter.Line{XYs: xys, LineStyle: draw.LineStyle{Color: c, Width: width}}
}

// shades are faults as areas of their class's colour.
type shades []campaign.Fault

// Plot implements plot.Plotter.
func (s shades) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, f := range s {
		from, to := max(x(seconds(f.OnsetMS)), c.Min.X), min(x(seconds(f.EndMS)), c.Max.X)
		if from < to {
			fill(c, classColour(f.Cause.Class()), from, to, c.Min.Y, c.Max.Y)
		}
	}
}

// violationMarks are bars along the top.
type violationMarks struct {
	service  string
	targetMS float64
	all      []campaign.Violation
}

const markHeight = 4

// Plot implements plot.Plotter.
func (v violationMarks) Plot(c draw.Canvas, p *plot.Plot) {
	x, _ := p.Transforms(&c)
	for _, one := range v.all {
		if one.Service != v.service || one.TargetMS != v.targetMS {
			continue
		}
		from, to := max(x(seconds(one.OnsetMS)), c.Min.X), min(x(seconds(one.EndMS)), c.Max.X)
		if from <= to {
			fill(c, vermilion, from, max(to, from+1), c.Max.Y-markHeight, c.Max.Y)
		}
	}
}

func fill(c draw.Canvas, colour color.Color, x0, x1, y0, y1 vg.Length) {
	c.FillPolygon(colour, []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}})
}
