package top

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// amount formats a depth or rate in at most four characters: 0, 0.3, 17,
// 1.2k, 34k, 5.6M. An exact zero is "0" and a value that only rounds to zero
// is "0.0".
func amount(v float64) string {
	if v == 0 {
		return "0"
	}
	return scaled(v, 1)
}

// count formats a whole number in at most four characters.
func count(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return scaled(float64(n), 1)
}

// scaled writes v with an SI suffix: decimals digits after the point below
// ten, none above.
func scaled(v float64, decimals int) string {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return "?"
	}
	const suffixes = " kMGTPE"
	i := 0
	for v >= 999.5 && i < len(suffixes)-1 {
		v /= 1000
		i++
	}
	if v >= 9.95 {
		decimals = 0
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if i > 0 {
		s += suffixes[i : i+1]
	}
	return s
}

// span formats a duration in at most five characters: 120us, 1.2ms, 34s, 12m.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "?"
	case d < time.Microsecond:
		return strconv.FormatInt(int64(d), 10) + "ns"
	case d < 999500*time.Nanosecond:
		return scaled(float64(d)/float64(time.Microsecond), 1) + "us"
	case d < 999500*time.Microsecond:
		return scaled(float64(d)/float64(time.Millisecond), 1) + "ms"
	case d < 99500*time.Millisecond:
		return scaled(d.Seconds(), 1) + "s"
	case d < 100*time.Minute:
		return strconv.Itoa(int(d.Round(time.Minute)/time.Minute)) + "m"
	}
	return strconv.Itoa(int(d.Round(time.Hour)/time.Hour)) + "h"
}

// percent formats a share (1 is the whole): 0.21%, 5.0%, 85%.
func percent(share float64) string {
	p := share * 100
	switch {
	case math.IsNaN(p) || math.IsInf(p, 0) || p < 0:
		return "?"
	case p == 0:
		return "0%"
	case p < 0.995:
		return strconv.FormatFloat(p, 'f', 2, 64) + "%"
	case p < 9.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + "%"
}

// occupied formats the share of a limit in at most four characters: <1%, 85%.
func occupied(share float64) string {
	if share > 0 && share < 0.01 {
		return "<1%"
	}
	if math.IsNaN(share) {
		return "?"
	}
	return strconv.FormatFloat(min(share, 9.99)*100, 'f', 0, 64) + "%"
}

// octets formats a size in bytes: 61 MB.
func octets(n uint64) string {
	s := scaled(float64(n), 1)
	if last := s[len(s)-1]; last >= '0' && last <= '9' {
		return strings.TrimSuffix(s, ".0") + " B"
	}
	return s[:len(s)-1] + " " + s[len(s)-1:] + "B"
}

// clean makes a name safe to show: a program may call itself anything, escape
// sequences included, and the layout counts one cell per rune.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x1100 || !unicode.IsPrint(r) || unicode.IsMark(r) {
			return '?'
		}
		return r
	}, s)
}

// fit cuts s to width, keeping both ends: what tells replicas apart is at the
// end of a name, what names the service at its start.
func fit(s string, width int, ellipsis rune) string {
	r := []rune(s)
	switch {
	case len(r) <= width:
		return s
	case width <= 0:
		return ""
	case width < 5:
		return string(r[:width])
	}
	tail := (width - 1) / 2
	head := width - 1 - tail
	return string(r[:head]) + string(ellipsis) + string(r[len(r)-tail:])
}
