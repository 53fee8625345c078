package plot

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"seer/collector"
	"seer/infer/campaign"
)

// Options say what to draw. File must be set.
type Options struct {
	File     string            // ends in .png or .svg
	Service  string            // whose queues; default the culprit that was hit for the longest
	Queues   []collector.Queue // default outstanding, unread_requests, downstream and run_queue, where measured
	From, To time.Duration     // default all of the campaign
	Width    vg.Length         // default 12 inches; the height follows from the panels
}

// Heights of the parts.
const (
	defaultWidth  = 12 * vg.Inch
	titleHeight   = 0.35 * vg.Inch
	maxNames      = 2.4 * vg.Inch // of the faults' names
	latencyHeight = 2.2 * vg.Inch
	panelHeight   = 1.05 * vg.Inch
	labelWidth    = 0.4 * vg.Inch
	axisHeight    = 0.4 * vg.Inch
	dpi           = 120
)

var defaultQueues = []collector.Queue{
	collector.QueueOutstanding, collector.QueueUnreadRequests, collector.QueueDownstream, collector.QueueRun,
}

// Timeline draws a campaign's directory, complete or not. Panels from the top:
// the promised percentile of each entry service with its target, faults shaded
// and named, violations marked; the rate of requests; and the depth of a
// service's queues.
func Timeline(dir string, o Options) error {
	d, err := campaign.Open(dir)
	if err != nil {
		return err
	}
	t, err := load(d, o)
	if err != nil {
		return fmt.Errorf("plot campaign %q: %w", dir, err)
	}
	if err := t.save(o.File); err != nil {
		return fmt.Errorf("plot campaign %q: %w", dir, err)
	}
	return nil
}

// timeline is what a picture shows.
type timeline struct {
	title      string
	from, to   time.Duration
	users      []*users
	faults     []campaign.Fault
	violations []campaign.Violation
	service    string
	depths     []depth
	width      vg.Length
}

func load(d *campaign.Dir, o Options) (*timeline, error) {
	m := &d.Manifest
	t := &timeline{from: o.From, to: o.To, service: o.Service, width: o.Width}
	if t.to == 0 {
		t.to = time.Duration(m.DurationMS) * time.Millisecond
	}
	if t.width == 0 {
		t.width = defaultWidth
	}
	if t.from < 0 || t.to-t.from < time.Second || t.to > time.Duration(m.DurationMS)*time.Millisecond {
		return nil, fmt.Errorf("from %v to %v: want a second or more within %v", t.from, t.to, time.Duration(m.DurationMS)*time.Millisecond)
	}
	t.title = fmt.Sprintf("%s, %s, seed %d", m.App, m.Source, m.Seed)
	var err error
	if t.faults, err = d.Faults(); err != nil {
		return nil, err
	}
	if m.Complete {
		if t.violations, err = d.Violations(); err != nil {
			return nil, err
		}
	} else {
		t.title += " (not complete)"
	}
	if t.users, err = readUsers(d, t.from, t.to); err != nil {
		return nil, err
	}
	if t.service == "" {
		t.service = mostHit(t.faults, m.Services)
	}
	queues := o.Queues
	if len(queues) == 0 {
		for _, q := range defaultQueues {
			for _, name := range m.Queues {
				if name == q.String() {
					queues = append(queues, q)
				}
			}
		}
	}
	t.depths, err = readDepths(context.Background(), d, t.service, queues, t.from, t.to)
	return t, err
}

// mostHit returns the culprit that was hit for the longest, of those the first
// in model order; without any, the last service, which is an entry.
func mostHit(faults []campaign.Fault, services []string) string {
	hit := make(map[string]int64)
	for _, f := range faults {
		hit[f.Culprit] += f.EndMS - f.OnsetMS
	}
	best := services[len(services)-1]
	for _, s := range services {
		if hit[s] > hit[best] {
			best = s
		}
	}
	return best
}

// save draws into a file, which appears when it is whole.
func (t *timeline) save(file string) (err error) {
	panels := t.panels()
	height := titleHeight + t.namesHeight() + axisHeight
	for _, p := range panels {
		height += p.height
	}
	var canvas interface {
		vg.CanvasSizer
		io.WriterTo
	}
	switch strings.ToLower(filepath.Ext(file)) {
	case ".png":
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(t.width, height), vgimg.UseDPI(dpi))}
	case ".svg":
		canvas = vgsvg.New(t.width, height)
	default:
		return fmt.Errorf("file %q: want a name that ends in .png or .svg", file)
	}
	t.draw(draw.New(canvas), panels)
	return WriteFile(file, canvas)
}

// WriteFile writes a picture, which appears when it is whole.
func WriteFile(file string, picture io.WriterTo) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = picture.WriteTo(f); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// panel is a plot, what its scale means, and its height without the time axis.
// The label is not the axis' own, for which a logarithmic scale leaves room in
// the wrong place.
type panel struct {
	*plot.Plot
	label  string
	height vg.Length
}

// draw stacks the panels so that their time axes coincide.
func (t *timeline) draw(c draw.Canvas, panels []panel) {
	top := c.Max.Y - titleHeight - t.namesHeight()
	canvases := make([]draw.Canvas, len(panels))
	left, right := c.Min.X, c.Max.X
	for i, p := range panels {
		bottom := top - p.height
		if i == len(panels)-1 {
			bottom = c.Min.Y
		}
		canvases[i] = draw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: c.Min.X + labelWidth, Y: bottom + 3},
			Max: vg.Point{X: c.Max.X - 14, Y: top - 3},
		}}
		area := p.DataCanvas(canvases[i])
		left, right = max(left, area.Min.X), min(right, area.Max.X)
		top -= p.height
	}
	var area draw.Canvas // of the data of the topmost panel
	for i, p := range panels {
		// What narrower labels leave free.
		inner := p.DataCanvas(canvases[i])
		canvases[i].Min.X += left - inner.Min.X
		canvases[i].Max.X -= inner.Max.X - right
		p.Draw(canvases[i])
		inner = p.DataCanvas(canvases[i])
		if i == 0 {
			area = inner
		}
		label := textStyle(8)
		label.Rotation = math.Pi / 2
		label.XAlign, label.YAlign = draw.XCenter, draw.YTop
		c.FillText(label, vg.Point{X: c.Min.X + 6, Y: inner.Center().Y}, p.label)
	}
	t.drawTitle(c)
	x, _ := panels[0].Transforms(&area)
	t.drawNames(c, area, x)
}

// drawTitle writes the title, and what the colours and lines mean.
func (t *timeline) drawTitle(c draw.Canvas) {
	style := textStyle(11)
	style.YAlign = draw.YTop
	c.FillText(style, vg.Point{X: c.Min.X + 8, Y: c.Max.Y - 6}, t.title)

	legend := textStyle(8)
	legend.YAlign = draw.YTop
	at := vg.Point{X: c.Max.X - 14, Y: c.Max.Y - 8}
	entry := func(name string, draw func(x vg.Length)) {
		at.X -= legend.Width(name)
		c.FillText(legend, at, name)
		at.X -= 14
		draw(at.X)
		at.X -= 12
	}
	for i := len(classes) - 1; i >= 0; i-- {
		entry(string(classes[i].class), func(x vg.Length) { fill(c, classes[i].colour, x+1, x+11, at.Y-9, at.Y-1) })
	}
	entry("violation", func(x vg.Length) { fill(c, vermilion, x, x+12, at.Y-5-markHeight/2, at.Y-5+markHeight/2) })
	entry("target", func(x vg.Length) { c.StrokeLine2(targetStyle, x, at.Y-5, x+12, at.Y-5) })
}

func nameStyle() draw.TextStyle {
	style := textStyle(7.5)
	style.Rotation = math.Pi / 2
	style.XAlign, style.YAlign = draw.XLeft, draw.YCenter
	return style
}

func faultName(f *campaign.Fault) string {
	if f.Culprit == "" {
		return string(f.Cause)
	}
	return f.Culprit + ": " + string(f.Cause)
}

// seen returns the faults that the picture shows.
func (t *timeline) seen() []*campaign.Fault {
	var out []*campaign.Fault
	for i := range t.faults {
		if f := &t.faults[i]; f.EndMS >= t.from.Milliseconds() && f.OnsetMS <= t.to.Milliseconds() {
			out = append(out, f)
		}
	}
	return out
}

// namesHeight returns the room that the longest name takes.
func (t *timeline) namesHeight() vg.Length {
	height := vg.Length(0)
	for _, f := range t.seen() {
		height = max(height, width(faultName(f))+12)
	}
	return min(height, maxNames)
}

// drawNames writes the names of the faults above their shades, upright since
// they are close together.
func (t *timeline) drawNames(c, area draw.Canvas, x func(float64) vg.Length) {
	last := vg.Length(math.Inf(-1))
	for _, f := range t.seen() {
		at := (x(seconds(f.OnsetMS)) + x(seconds(f.EndMS))) / 2
		at = min(max(at, area.Min.X+4), area.Max.X-4)
		if at-last < 8 {
			continue // it could not be read
		}
		last = at
		c.FillText(nameStyle(), vg.Point{X: at, Y: area.Max.Y + 5}, shorten(faultName(f)))
	}
}

// width returns how long a name is. Small letters are measured in whole points,
// so it measures large ones.
func width(name string) vg.Length {
	return textStyle(10*nameStyle().Font.Size).Width(name) / 10
}

// shorten cuts a name to the room there is, with an ellipsis.
func shorten(name string) string {
	if width(name) <= maxNames-12 {
		return name
	}
	runes := []rune(name)
	for len(runes) > 1 && width(string(runes)+"…") > maxNames-12 {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
