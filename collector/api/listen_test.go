package api

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestListenModes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "seer.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, want := range map[string]fs.FileMode{path: 0o600 | fs.ModeSocket, filepath.Dir(path): 0o700 | fs.ModeDir} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("mode of %s = %v, want %v", filepath.Base(name), info.Mode(), want)
		}
	}
}

func TestListenSecondInstance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seer.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Listen(path)
	wantError(t, "second Listen", err, ErrInUse)
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the first one's socket after the second try: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Listen(path)
	if err != nil {
		t.Fatalf("Listen after the first one ended: %v", err)
	}
	defer again.Close()
	if err := first.Close(); err != nil {
		t.Errorf("closing the first one twice = %v, want nil", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the second one's socket after the first was closed twice: %v", err)
	}
}

// Somebody who does not know of the lock answers on the socket.
func TestListenForeignServer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seer.sock")
	foreign, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer foreign.Close()
	_, err = Listen(path)
	wantError(t, "Listen", err, ErrInUse)
}

func TestListenReplacesStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seer.sock")
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after kill -9
	dead.Close()
	if _, err := Dial(t.Context(), path); err == nil {
		t.Fatal("Dial of a stale socket succeeded")
	} else {
		wantError(t, "Dial of a stale socket", err, ErrNotRunning)
	}
	l, err := Listen(path)
	if err != nil {
		t.Fatalf("Listen over a stale socket: %v", err)
	}
	l.Close()
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("data"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"a file", file, "is no socket"},
		{"a long path", filepath.Join(dir, strings.Repeat("x", 120)), "use a shorter one"},
		{"a file as folder", filepath.Join(file, "seer.sock"), "not a directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.path)
			if err == nil {
				l.Close()
				t.Fatalf("Listen(%q) succeeded", tt.path)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Listen = %q, want %q in it", err, tt.want)
			}
		})
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "data" {
		t.Errorf("the file in the way = %q, %v, want it untouched", text, err)
	}
}
