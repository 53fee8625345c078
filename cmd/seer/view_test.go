package main

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestNumber(t *testing.T) {
	tests := []struct {
		v    float64
		want string
	}{
		{0, "0"}, {0.04, "0.04"}, {9.994, "9.99"}, {22.5, "22.5"}, {128, "128"}, {100.4, "100"}, {99999, "99999"},
		{100000, "100k"}, {123456, "123k"}, {1234567, "1.2M"}, {99.96e6, "100M"}, {999.6e6, "1.0G"}, {3e9, "3.0G"}, {-5, "-5"}, {5e15, "5.0P"}, {1e18, "1e+18"},
	}
	for _, tt := range tests {
		if got := number(tt.v); got != tt.want {
			t.Errorf("number(%v) = %q, want %q", tt.v, got, tt.want)
		}
	}
}

func TestShortAddress(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", "-"},
		{"255.255.255.255:65535", "255.255.255.255:65535"},
		{"[::1]:80", "[::1]:80"},
		{"[2001:db8:1:2:3:4:5:6]:5432", "[2001:d...:5:6]:5432"},
		{"[fe80::1234:5678:9abc:def0]:65535", "[fe80:...:def0]:65535"},
	}
	for _, tt := range tests {
		got := shortAddress(tt.in)
		if len(got) > len("255.255.255.255:65535") {
			t.Errorf("shortAddress(%q) = %q has %d columns", tt.in, got, len(got))
		}
		if tt.in != "" && got[strings.LastIndexByte(got, ':'):] != tt.in[strings.LastIndexByte(tt.in, ':'):] {
			t.Errorf("shortAddress(%q) = %q lost the port", tt.in, got)
		}
		if len(tt.in) <= 21 && got != tt.want {
			t.Errorf("shortAddress(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

// A name from a container's environment must not reach the terminal as control.
func TestTableKeepsTerminalSafe(t *testing.T) {
	table := table{columns: []column{{title: "CONTAINER", give: true}, {title: "N", right: true}}}
	table.add("evil\x1b[2J\nname", "1")
	table.add(strings.Repeat("ü", 200), "23")
	var b strings.Builder
	if err := table.writeTo(&b); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsRune(b.String(), '\x1b') || strings.Count(b.String(), "\n") != 3 {
		t.Errorf("table = %q, want no escape and three lines", b.String())
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > textWidth {
			t.Errorf("line of %d columns, want at most %d", n, textWidth)
		}
		if !utf8.ValidString(line) {
			t.Errorf("line %q is cut inside a letter", line)
		}
	}
}
