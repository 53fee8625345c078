package top

import (
	"math"
	"testing"
	"time"
)

func TestAmount(t *testing.T) {
	tests := []struct {
		in   float64
		want string
	}{
		{0, "0"}, {0.001, "0.0"}, {0.3, "0.3"}, {1, "1.0"}, {9.94, "9.9"}, {9.96, "10"}, {17, "17"},
		{999.4, "999"}, {999.6, "1.0k"}, {1234, "1.2k"}, {9960, "10k"}, {99999, "100k"}, {999600, "1.0M"},
		{3.4e6, "3.4M"}, {5e9, "5.0G"}, {5e12, "5.0T"}, {-1, "?"}, {math.NaN(), "?"}, {math.Inf(1), "?"},
	}
	for _, tt := range tests {
		got := amount(tt.in)
		if got != tt.want {
			t.Errorf("amount(%v) = %q, want %q", tt.in, got, tt.want)
		}
		if len(got) > 4 {
			t.Errorf("amount(%v) = %q, longer than a column", tt.in, got)
		}
	}
}

func TestSpan(t *testing.T) {
	tests := []struct {
		in   time.Duration
		want string
	}{
		{0, "0ns"}, {999, "999ns"}, {1500, "1.5us"}, {120 * time.Microsecond, "120us"},
		{999600 * time.Nanosecond, "1.0ms"}, {1200 * time.Microsecond, "1.2ms"}, {12 * time.Millisecond, "12ms"},
		{999600 * time.Microsecond, "1.0s"}, {34 * time.Second, "34s"}, {99 * time.Second, "99s"}, {12 * time.Minute, "12m"},
		{99*time.Minute + 59*time.Second, "100m"}, {5 * time.Hour, "5h"}, {-1, "?"},
	}
	for _, tt := range tests {
		got := span(tt.in)
		if got != tt.want {
			t.Errorf("span(%v) = %q, want %q", tt.in, got, tt.want)
		}
		if len(got) > 5 {
			t.Errorf("span(%v) = %q, longer than a column", tt.in, got)
		}
	}
}

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		in                float64
		percent, occupied string
	}{
		{0, "0%", "0%"}, {0.0021, "0.21%", "<1%"}, {0.05, "5.0%", "5%"}, {0.85, "85%", "85%"}, {1.28, "128%", "128%"},
		{math.NaN(), "?", "?"},
	} {
		if got := percent(tt.in); got != tt.percent {
			t.Errorf("percent(%v) = %q, want %q", tt.in, got, tt.percent)
		}
		if got := occupied(tt.in); got != tt.occupied {
			t.Errorf("occupied(%v) = %q, want %q", tt.in, got, tt.occupied)
		}
	}
}

func TestOctets(t *testing.T) {
	for in, want := range map[uint64]string{0: "0 B", 512: "512 B", 61e6: "61 MB", 1234567: "1.2 MB"} {
		if got := octets(in); got != want {
			t.Errorf("octets(%d) = %q, want %q", in, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"web-1": "web-1", "\x1b[2Jpwned": "?[2Jpwned", "a\nb": "a?b", "é": "é", "e\u0301": "e?", "漢": "?", "\xff": "?",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestFit(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"frontend", 8, "frontend"}, {"frontend-7f9c8d", 9, "fron…9c8d"}, {"frontend", 4, "fron"}, {"frontend", 0, ""}, {"frontend", -3, ""},
	} {
		if got := fit(tt.in, tt.width, '…'); got != tt.want {
			t.Errorf("fit(%q, %d) = %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}
