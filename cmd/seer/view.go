package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// textWidth is the widest line of a table: an 80-column terminal less the
// column in which some of them wrap.
const textWidth = 79

// minShrunk is how narrow a column that gives way may become.
const minShrunk = 8

// column is one column of a table. Its title holds its unit.
type column struct {
	title string
	right bool // numbers
	give  bool // names: may be cut in the middle to keep the table narrow
}

// table is text in columns, for people. Nothing parses it: -j is for that. In
// a row with fewer cells than columns the last cell takes the rest of the line.
type table struct {
	columns []column
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// drop takes out the column called title if every cell of it is "-".
func (t *table) drop(title string) {
	at := slices.IndexFunc(t.columns, func(c column) bool { return c.title == title })
	for _, row := range t.rows {
		if row[at] != "-" {
			return
		}
	}
	t.columns = slices.Delete(t.columns, at, at+1)
	for i, row := range t.rows {
		t.rows[i] = slices.Delete(row, at, at+1)
	}
}

// writeTo writes titles and rows, at most textWidth columns wide as long as
// the columns that give way allow it.
func (t *table) writeTo(w io.Writer) error {
	widths := t.widths()
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = c.title
	}
	var b strings.Builder
	for _, row := range append([][]string{titles}, t.rows...) {
		t.writeRow(&b, row, widths)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *table) writeRow(b *strings.Builder, row []string, widths []int) {
	var line strings.Builder
	for i, cell := range row {
		if i > 0 {
			line.WriteString("  ")
		}
		if i == len(row)-1 && len(row) < len(t.columns) {
			line.WriteString(cut(cell, textWidth-utf8.RuneCountInString(line.String())))
			break
		}
		cell = cutMiddle(cell, widths[i])
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if t.columns[i].right {
			line.WriteString(pad + cell)
		} else {
			line.WriteString(cell + pad)
		}
	}
	b.WriteString(strings.TrimRight(line.String(), " "))
	b.WriteByte('\n')
}

// widths returns each column's width: what its widest cell needs, and then
// the widest column that gives way gives first.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	total := 2 * (len(widths) - 1)
	for i, c := range t.columns {
		widths[i] = utf8.RuneCountInString(c.title)
		for _, row := range t.rows {
			if i < len(row)-1 || len(row) == len(t.columns) {
				widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
			}
		}
		total += widths[i]
	}
	for ; total > textWidth; total-- {
		widest := -1
		for i, c := range t.columns {
			if c.give && widths[i] > minShrunk && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// cut shortens text to width columns at its end.
func cut(text string, width int) string {
	runes := []rune(printable(text))
	if len(runes) <= width {
		return string(runes)
	}
	return string(runes[:max(width-3, 0)]) + "..."
}

// cutMiddle shortens a name to width columns. Names of one application begin
// alike and replicas differ at the end, so both ends stay.
func cutMiddle(text string, width int) string {
	runes := []rune(printable(text))
	if len(runes) <= width {
		return string(runes)
	}
	keep := max(width-3, 0)
	return string(runes[:keep/2]) + "..." + string(runes[len(runes)-keep+keep/2:])
}

// printable keeps control characters, which a container's name may hold, from
// the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, text)
}

// number formats a depth or a rate in at most six columns: whole numbers up
// to 99999 exactly, larger ones with an SI suffix.
func number(v float64) string {
	switch {
	case v < 0:
		return "-" + number(-v)
	case v == float64(int64(v)) && v < 1e5:
		return fmt.Sprintf("%d", int64(v))
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	case v < 1e5:
		return fmt.Sprintf("%.0f", v)
	}
	for _, suffix := range []string{"k", "M", "G", "T", "P"} {
		if v /= 1000; v < 99.95 {
			return fmt.Sprintf("%.1f%s", v, suffix)
		} else if v < 999.5 {
			return fmt.Sprintf("%.0f%s", v, suffix)
		}
	}
	return fmt.Sprintf("%.3g", v*1e15)
}

func percentage(share float64) string {
	if p := share * 100; p < 10 && p > 0 {
		return fmt.Sprintf("%.1f%%", p)
	}
	return fmt.Sprintf("%.0f%%", share*100)
}

// plural returns "1 socket", "2 sockets".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
