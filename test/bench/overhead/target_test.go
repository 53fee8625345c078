//go:build linux

package main

import (
	"bufio"
	"fmt"
	"strings"
	"testing"
)

func TestCounts(t *testing.T) {
	info := "# Stats\r\ntotal_connections_received:3\r\ntotal_commands_processed:42\r\n"
	tests := []struct {
		name  string
		parse func(*bufio.Reader) (int64, error)
		text  string
		want  int64
		fails bool
	}{
		{name: "redis", parse: redisCount, text: fmt.Sprintf("$%d\r\n%s\r\n", len(info), info), want: 42},
		{name: "redis cut", parse: redisCount, text: "$400\r\n# Stats\r\n", fails: true},
		{name: "nginx", parse: nginxCount, text: "HTTP/1.1 200 OK\r\n\r\nActive connections: 1 \n" +
			"server accepts handled requests\n 7 7 31 \nReading: 0 Writing: 1 Waiting: 0 \n", want: 31},
		{name: "nginx cut", parse: nginxCount, text: "server accepts handled requests\n 7 7\n", fails: true},
		{name: "memcached", parse: memcachedCount, text: "STAT pid 1\r\nSTAT cmd_get 17\r\nSTAT cmd_set 1\r\nEND\r\n", want: 17},
		{name: "memcached without", parse: memcachedCount, text: "STAT pid 1\r\nEND\r\n", fails: true},
	}
	for _, tt := range tests {
		// Twice: a reader must leave nothing of an answer for the next one.
		text := tt.text
		if !tt.fails {
			text += tt.text
		}
		r := bufio.NewReader(strings.NewReader(text))
		for range 2 {
			got, err := tt.parse(r)
			if (err != nil) != tt.fails || got != tt.want {
				t.Errorf("%s: count = %d, %v, want %d, failure %v", tt.name, got, err, tt.want, tt.fails)
			}
			if tt.fails {
				break
			}
		}
	}
}

func TestRatios(t *testing.T) {
	same := ratios{1.05, 1.05, 1.05, 1.05}.summary(1)
	for _, got := range []float64{same.median, same.low, same.high} {
		if got < 4.999 || got > 5.001 {
			t.Errorf("summary of equal ratios = %+v, want 5 %% throughout", same)
		}
	}
	// Symmetric around 1: the interval holds 0, and is no wider than the data.
	s := ratios{.97, .98, .99, 1, 1.01, 1.02, 1.03}.summary(1)
	if s.median < -.001 || s.median > .001 || s.low >= 0 || s.high <= 0 || s.low < -3.001 || s.high > 3.001 {
		t.Errorf("summary = %+v, want 0 within an interval inside -3 to 3", s)
	}
	if again := (ratios{.97, .98, .99, 1, 1.01, 1.02, 1.03}).summary(1); again != s {
		t.Errorf("summary with the same seed = %+v, then %+v", s, again)
	}
}
