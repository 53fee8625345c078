package feature

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"kernel.org/pub/linux/libs/security/libcap/cap"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		os.Exit(child(what))
	}
	goleak.VerifyTestMain(m)
}

// nobody and stranger are two users that are not root.
const (
	nobody   = 65534
	stranger = 12345
)

// self returns a command that re-executes this test binary as uid, with the
// capabilities in caps and no other. The binary is reached through an inherited
// descriptor, because go test builds it where only its user may look.
func self(t *testing.T, what string, uid uint32, caps []cap.Value, env ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { binary.Close() })
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = append([]string{childEnv + "=" + what}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	for _, v := range caps {
		cmd.SysProcAttr.AmbientCaps = append(cmd.SysProcAttr.AmbientCaps, uintptr(v))
	}
	return cmd
}

// output runs cmd and returns its standard output.
func output(t *testing.T, cmd *exec.Cmd) []byte {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("child: %v\n%s", err, stderr.Bytes())
	}
	return out
}

// needRoot fails a test that was started without the privilege it is about.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run as root: this test loads BPF programs")
	}
}

// tree writes files below a new root and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// eventually waits until what holds, for ten seconds at most.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func TestBounded(t *testing.T) {
	refused := errors.New("refused")
	release := make(chan struct{})
	defer close(release)
	ended, end := context.WithCancel(t.Context())
	end()
	tests := []struct {
		name  string
		ctx   context.Context
		limit time.Duration
		probe func() error
		want  error
	}{
		{"answer", t.Context(), time.Minute, func() error { return nil }, nil},
		{"error", t.Context(), time.Minute, func() error { return refused }, refused},
		{"panic", t.Context(), time.Minute, func() error { panic("boom") }, errNoAnswer},
		{"hangs", t.Context(), time.Millisecond, func() error { <-release; return nil }, errNoAnswer},
		{"context ended", ended, time.Minute, func() error { return nil }, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := bounded(tt.ctx, tt.limit, tt.probe); !errors.Is(got, tt.want) {
				t.Errorf("bounded() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestVerdictsKeepAnswersOnly(t *testing.T) {
	var v verdicts
	asked := 0
	answers := []finding{{Unknown, "busy"}, {Missing, "no"}, {Works, ""}}
	ask := func() finding { asked++; return answers[asked-1] }
	for i, want := range []Verdict{Unknown, Missing, Missing} {
		if got := v.get("probe", ask); got.verdict != want {
			t.Errorf("get() number %d = %v, want %v", i+1, got.verdict, want)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want 2: once more after the failure to run, never after an answer", asked)
	}
}

func TestVerdictText(t *testing.T) {
	for _, v := range []Verdict{Unknown, Works, Missing} {
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back Verdict
		if err := back.UnmarshalText(text); err != nil || back != v {
			t.Errorf("UnmarshalText(%q) = %v, %v, want %v", text, back, err, v)
		}
	}
	var v Verdict
	if err := v.UnmarshalText([]byte("maybe")); err == nil {
		t.Error("UnmarshalText(maybe) = nil, want an error")
	}
}
