package collector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// One CPU of Linux 6.18: 15 columns.
const softnetLine = "0001f4c6 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000007 00000000 00000004 00000003\n"

func TestParseSoftnet(t *testing.T) {
	tests := []struct {
		name string
		text string
		want backlogCounts
		err  string
	}{
		{name: "nothing", text: ""},
		{name: "one CPU", text: softnetLine, want: backlogCounts{Waiting: 7, Processed: 0x1f4c6, Dropped: 2, TimeSqueeze: 3}},
		{name: "two CPUs", text: softnetLine + softnetLine, want: backlogCounts{Waiting: 14, Processed: 2 * 0x1f4c6, Dropped: 4, TimeSqueeze: 6}},
		{name: "no newline at the end", text: strings.TrimSuffix(softnetLine, "\n"), want: backlogCounts{Waiting: 7, Processed: 0x1f4c6, Dropped: 2, TimeSqueeze: 3}},
		{name: "empty lines", text: "\n" + softnetLine + "\n", want: backlogCounts{Waiting: 7, Processed: 0x1f4c6, Dropped: 2, TimeSqueeze: 3}},
		{name: "Linux 5.10: 13 columns", text: "ffffffff 00000000 00000000 0 0 0 0 0 0 0 0 0000000a 00000000", want: backlogCounts{Waiting: 10, Processed: 0xffffffff}},
		{name: "more columns to come", text: strings.TrimSuffix(softnetLine, "\n") + " 00000009 0000000b\n", want: backlogCounts{Waiting: 7, Processed: 0x1f4c6, Dropped: 2, TimeSqueeze: 3}},
		{name: "before 5.10: 11 columns", text: "1 2 3 0 0 0 0 0 0 0 0\n", err: errNoBacklog.Error()},
		{name: "second CPU has no backlog", text: softnetLine + "1 2 3\n", err: errNoBacklog.Error()},
		{name: "not a number", text: "0001 x 0\n", err: `column 1 of "0001 x 0" is not a hexadecimal number`},
		{name: "upper case, which the kernel does not print", text: "000F 0 0 0 0 0 0 0 0 0 0 0\n", err: "column 0"},
		{name: "too many digits", text: "0 0 00000000000000001 0 0 0 0 0 0 0 0 0\n", err: "column 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSoftnet([]byte(tt.text))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("parseSoftnet = %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
	if _, err := parseSoftnet([]byte("1 2 3\n")); !errors.Is(err, errNoBacklog) {
		t.Errorf("error %v, want errNoBacklog", err)
	}
}

func FuzzParseSoftnet(f *testing.F) {
	f.Add([]byte(softnetLine + softnetLine))
	f.Add([]byte("1 2 3"))
	f.Add([]byte(" \n  \n"))
	f.Add([]byte("0 0 0 0 0 0 0 0 0 0 0 ffffffffffffffff"))
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := parseSoftnet(text)
		if err != nil {
			return
		}
		// What it accepts it reads as the standard library would.
		var want backlogCounts
		for line := range strings.Lines(string(text)) {
			columns := strings.FieldsFunc(strings.TrimSuffix(line, "\n"), func(r rune) bool { return r == ' ' })
			if len(columns) == 0 && line == "\n" {
				continue
			}
			if len(columns) <= softnetBacklog {
				t.Fatalf("accepted %q", line)
			}
			for i, sum := range map[int]*uint64{softnetProcessed: &want.Processed, softnetDropped: &want.Dropped, softnetTimeSqueeze: &want.TimeSqueeze, softnetBacklog: &want.Waiting} {
				var n uint64
				if _, err := fmt.Sscanf(columns[i], "%x", &n); err != nil {
					t.Fatalf("accepted column %q: %v", columns[i], err)
				}
				*sum += n
			}
		}
		if got != want {
			t.Fatalf("parseSoftnet(%q) = %+v, want %+v", text, got, want)
		}
	})
}

// The file of a host with many CPUs is longer than the first buffer.
func TestBacklogReadsManyCPUs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "softnet_stat")
	const cpus = 512
	if err := os.WriteFile(path, []byte(strings.Repeat(softnetLine, cpus)), 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := openBacklog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	want := backlogCounts{Waiting: 7 * cpus, Processed: 0x1f4c6 * cpus, Dropped: 2 * cpus, TimeSqueeze: 3 * cpus}
	if got, err := b.read(); err != nil || got != want {
		t.Fatalf("read = %+v, %v; want %+v", got, err, want)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = b.read() }); n != 0 {
		t.Errorf("%v allocations per read, want 0", n)
	}
	// It reads the file anew each time.
	if err := os.WriteFile(path, []byte(softnetLine), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := b.read(); err != nil || got.Waiting != 7 {
		t.Errorf("read = %+v, %v; want 7 waiting", got, err)
	}
}

func TestOpenBacklogSaysWhatIsMissing(t *testing.T) {
	_, err := openBacklog(filepath.Join(t.TempDir(), "softnet_stat"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "nic_rx") {
		t.Errorf("error %v, want that of the missing file, for nic_rx", err)
	}
}
