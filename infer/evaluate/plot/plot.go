package plot

import (
	"cmp"
	"fmt"
	"image/color"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	picture "seer/infer/campaign/plot"
	"seer/infer/evaluate"
)

// The colours are Okabe and Ito's, which people who confuse red and green can tell
// apart; models beyond them begin again.
var colours = []color.NRGBA{
	{R: 0, G: 114, B: 178, A: 255}, {R: 213, G: 94, B: 0, A: 255}, {R: 0, G: 158, B: 115, A: 255},
	{R: 204, G: 121, B: 167, A: 255}, {R: 230, G: 159, B: 0, A: 255}, {R: 86, G: 180, B: 233, A: 255},
	{A: 255},
}

func colour(i int) color.NRGBA { return colours[i%len(colours)] }

const (
	width  = 6.5 * vg.Inch
	height = 4.5 * vg.Inch
	dpi    = 120
)

// Save draws a report into a directory, which it creates: precision-recall.png,
// lead.png, causes.png and culprits.png. models are in the order of the legend; the
// culprits are those of the first.
func Save(r *evaluate.Report, models []string, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	causes := causesOf(r)
	table := confusion(r.Confusion)
	pictures := []struct {
		name          string
		p             *plot.Plot
		width, height vg.Length
	}{
		{"precision-recall.png", precisionRecall(r, models), width, height},
		{"lead.png", lead(r, models), width, height},
		{"causes.png", byCause(r, models, causes), max(width, vg.Length(len(causes))*0.6*vg.Inch), height},
		{"culprits.png", culprits(table), side(len(table.named)), side(len(table.truth))},
	}
	for _, pic := range pictures {
		if err := save(pic.p, pic.width, pic.height, filepath.Join(dir, pic.name)); err != nil {
			return fmt.Errorf("plot %s: %w", pic.name, err)
		}
	}
	return nil
}

// side of the picture of a table.
func side(n int) vg.Length { return 2*vg.Inch + vg.Length(n)*0.26*vg.Inch }

// save writes a picture, which appears when it is whole.
func save(p *plot.Plot, w, h vg.Length, file string) error {
	canvas := vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi))}
	p.Draw(draw.New(canvas))
	return picture.WriteFile(file, canvas)
}

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

func newPlot(title, x, y string) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title, x, y
	p.Title.TextStyle.Font = sans(11)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans(9), sans(8)
	}
	p.Legend.TextStyle.Font = sans(8)
	return p
}

func line(xys plotter.XYs, c color.Color) *plotter.Line {
	return &plotter.Line{XYs: xys, LineStyle: draw.LineStyle{Color: c, Width: 1.2}}
}

// name labels an axis; the library wants one name at least.
func name(axis func(...string), names []string) {
	if len(names) > 0 {
		axis(names...)
	}
}

// precisionRecall has a line a model, with its threshold marked, and how much is
// possible.
func precisionRecall(r *evaluate.Report, models []string) *plot.Plot {
	p := newPlot(fmt.Sprintf("%d violations, up to %d ms ahead", r.Violations, r.HorizonMS), "detected (recall)", "alarms that are right (precision)")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1, 0, 1
	for i, model := range models {
		result := r.ByModel[model]
		var xys plotter.XYs
		for _, at := range result.Curve {
			if at.Detection > 0 {
				xys = append(xys, plotter.XY{X: at.Detection, Y: at.Precision()})
			}
		}
		if len(xys) == 0 {
			continue
		}
		l := line(xys, colour(i))
		p.Add(l)
		p.Legend.Add(model, l)
		if result.Detection != nil && result.FalseAlarmShare != nil {
			at := plotter.XY{X: float64(*result.Detection), Y: 1 - float64(*result.FalseAlarmShare)}
			p.Add(&plotter.Scatter{XYs: plotter.XYs{at}, GlyphStyle: draw.GlyphStyle{Color: colour(i), Radius: 4, Shape: draw.CircleGlyph{}}})
		}
	}
	if r.Violations > 0 {
		share := float64(r.Possible) / float64(r.Violations)
		limit := &plotter.Line{XYs: plotter.XYs{{X: share}, {X: share, Y: 1}}, LineStyle: draw.LineStyle{Color: color.Gray{Y: 120}, Width: 1, Dashes: []vg.Length{4, 3}}}
		p.Add(limit)
		p.Legend.Add("possible", limit)
	}
	p.Legend.Left = true
	return p
}

// lead has, for each model, the share of violations of which at least so long before
// there was an alarm.
func lead(r *evaluate.Report, models []string) *plot.Plot {
	p := newPlot("how long before the onset", "lead, ms", "violations with an alarm so early")
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 10, 5000, 0, 1
	for i, model := range models {
		result := r.ByModel[model]
		if result.Violations == 0 {
			continue
		}
		l := line(survival(result.LeadsMS, result.Violations, p.X.Min, p.X.Max), colour(i))
		p.Add(l)
		p.Legend.Add(model, l)
	}
	p.Legend.Top = true
	return p
}

// survival returns the steps of the share, of so many violations, whose lead is at
// least x. leads are ascending.
func survival(leads []int64, of int, low, high float64) plotter.XYs {
	xys := plotter.XYs{{X: low, Y: float64(len(leads)) / float64(of)}}
	for i, v := range leads {
		x := min(high, max(low, float64(v)))
		left := float64(len(leads)-i-1) / float64(of)
		xys = append(xys, plotter.XY{X: x, Y: xys[len(xys)-1].Y}, plotter.XY{X: x, Y: left})
	}
	return append(xys, plotter.XY{X: high, Y: xys[len(xys)-1].Y})
}

// causesOf returns the causes that brought about violations, most frequent first.
func causesOf(r *evaluate.Report) []string {
	var out []string
	for c, f := range r.ByCause {
		if f.Violations > 0 {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(r.ByCause[b].Violations-r.ByCause[a].Violations, cmp.Compare(a, b))
	})
	return out
}

// byCause has a bar for each model and cause.
func byCause(r *evaluate.Report, models, causes []string) *plot.Plot {
	p := newPlot(fmt.Sprintf("detected by cause, up to %d ms ahead", r.HorizonMS), "", "detected")
	p.Y.Min, p.Y.Max = 0, 1
	p.X.Min, p.X.Max = -0.5, float64(len(causes))-0.5
	labels := make([]string, len(causes))
	for i, c := range causes {
		labels[i] = fmt.Sprintf("%s (%d)", c, r.ByCause[c].Violations)
	}
	bar := vg.Length(30) / vg.Length(max(1, len(models)))
	for i, model := range models {
		values := make(plotter.Values, len(causes))
		for k, c := range causes {
			if d := r.ByModel[model].ByCause[c].Detection; d != nil {
				values[k] = float64(*d)
			}
		}
		chart, err := plotter.NewBarChart(values, bar)
		if err != nil {
			continue // there are no causes
		}
		chart.Color, chart.LineStyle.Width = colour(i), 0
		chart.Offset = bar * (vg.Length(i) - vg.Length(len(models)-1)/2)
		p.Add(chart)
		p.Legend.Add(model, chart)
	}
	name(p.NominalX, labels)
	p.X.Tick.Label.Rotation = math.Pi / 5
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	p.Legend.Top = true
	return p
}

// missed is the column of violations without an alarm in time.
const missed = "(missed)"

// names who was named for whom.
type names struct {
	truth, named []string
	count        [][]int // [truth][named]
}

// confusion orders who was named for whom: culprits by how often, the missed last.
func confusion(c map[string]map[string]int) *names {
	total := make(map[string]int)
	for truth, row := range c {
		for _, n := range row {
			total[truth] += n
		}
	}
	t := &names{truth: slices.SortedFunc(maps.Keys(c), func(a, b string) int { return cmp.Or(total[b]-total[a], cmp.Compare(a, b)) })}
	t.named = slices.Clone(t.truth)
	others := make(map[string]bool)
	for _, row := range c {
		for name := range row {
			if name != "" && !slices.Contains(t.truth, name) {
				others[name] = true
			}
		}
	}
	t.named = append(append(t.named, slices.Sorted(maps.Keys(others))...), missed)
	for _, truth := range t.truth {
		row := make([]int, len(t.named))
		for i, name := range t.named {
			row[i] = c[truth][name]
		}
		row[len(row)-1] = c[truth][""]
		t.count = append(t.count, row)
	}
	return t
}

// culprits is the table as squares, the darker the larger their share of the row.
func culprits(t *names) *plot.Plot {
	p := newPlot("who started it, and who was named", "named", "culprit")
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = -0.5, float64(len(t.named))-0.5, -0.5, max(0.5, float64(len(t.truth))-0.5)
	p.Add(t)
	name(p.NominalX, t.named)
	p.X.Tick.Label.Rotation = math.Pi / 3
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YCenter
	upwards := slices.Clone(t.truth)
	slices.Reverse(upwards)
	name(p.NominalY, upwards)
	return p
}

// Plot implements plot.Plotter.
func (t *names) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	style := draw.TextStyle{Color: color.Black, Font: sans(8), Handler: plot.DefaultTextHandler, XAlign: draw.XCenter, YAlign: draw.YCenter}
	for i, row := range t.count {
		sum := 0
		for _, n := range row {
			sum += n
		}
		at := float64(len(t.count) - 1 - i)
		for k, n := range row {
			if n == 0 {
				continue
			}
			shade := color.NRGBA{R: 86, G: 180, B: 233, A: uint8(40 + 200*n/sum)}
			if k == len(row)-1 {
				shade = color.NRGBA{R: 213, G: 94, A: shade.A}
			}
			low, high := vg.Point{X: x(float64(k) - 0.5), Y: y(at - 0.5)}, vg.Point{X: x(float64(k) + 0.5), Y: y(at + 0.5)}
			c.FillPolygon(shade, []vg.Point{low, {X: high.X, Y: low.Y}, high, {X: low.X, Y: high.Y}})
			c.FillText(style, vg.Point{X: x(float64(k)), Y: y(at)}, fmt.Sprint(n))
		}
	}
}
