//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakePeer puts a script in bpftrace's place.
func fakePeer(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bpftrace"), []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestPeerThatAttaches(t *testing.T) {
	// As bpftrace 0.17: what it prints first does not mean that it is attached.
	fakePeer(t, "echo Attaching 2 probes...\necho\necho attached\necho attached\nexec tail -f /dev/null\n")
	p, err := startPeer()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
		t.Fatal("the peer ended by itself")
	default:
	}
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.ended:
	default:
		t.Error("stop returned before the peer was gone")
	}
}

func TestPeerThatCannotRun(t *testing.T) {
	fakePeer(t, "echo ERROR: Unknown error -1: couldn\\'t set RLIMIT_MEMLOCK for bpftrace. >&2\n"+
		"echo Attaching 2 probes...\necho ERROR: tracepoint not found: sock:sock_recv_length >&2\n"+
		"echo ERROR: couldn\\'t set RLIMIT_MEMLOCK >&2\nexit 3\n")
	_, err := startPeer()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"tracepoint not found", "exit status 3"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "RLIMIT") {
		t.Errorf("error %q takes a warning for the reason", err)
	}
}
