package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"seer/collector/feature"
)

// doctor runs the command as a user would and returns its output.
func doctor(t *testing.T, ctx context.Context, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := newDoctorCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	return out.String(), err
}

func TestDoctor(t *testing.T) {
	text, err := doctor(t, t.Context(), "--db", t.TempDir())
	if err != nil {
		t.Fatalf("doctor: %v\n%s", err, text)
	}
	for _, want := range []string{"vmlinux BTF", "CAP_BPF", "queues:", "Seer can run here"} {
		if !strings.Contains(text, want) {
			t.Errorf("doctor lacks %q:\n%s", want, text)
		}
	}
	text, err = doctor(t, t.Context(), "-j", "--db", t.TempDir())
	if err != nil {
		t.Fatalf("doctor -j: %v", err)
	}
	var report feature.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		t.Fatalf("doctor -j: %v\n%s", err, text)
	}
	if report.Object != "feature" || !report.CanRun || len(report.Items) == 0 {
		t.Errorf("doctor -j = %+v, want a report that says Seer can run", report)
	}
}

func TestDoctorErrors(t *testing.T) {
	if _, err := doctor(t, t.Context(), "what"); exitCode(err) != exitUsage {
		t.Errorf("doctor what = %v with exit code %d, want %d", err, exitCode(err), exitUsage)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := doctor(t, ended); !errors.Is(err, context.Canceled) || exitCode(err) != exitFailed {
		t.Errorf("doctor, interrupted = %v with exit code %d, want %d", err, exitCode(err), exitFailed)
	}
}

const doctorChildEnv = "SEER_TEST_DOCTOR"

// TestDoctorAsNobody executes this test binary again as another user, where
// the first lines take the command's place.
func TestDoctorAsNobody(t *testing.T) {
	if os.Getenv(doctorChildEnv) != "" {
		text, err := doctor(t, t.Context())
		os.Stdout.WriteString(text)
		if err != nil {
			os.Stderr.WriteString(err.Error())
		}
		os.Exit(exitCode(err))
	}
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("/proc/self/fd/3", "-test.run=^TestDoctorAsNobody$")
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = []string{doctorChildEnv + "=1"}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var failed *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &failed) || failed.ExitCode() != exitKernel {
		t.Fatalf("doctor as nobody: %v, want exit code %d\n%s%s", err, exitKernel, stdout.Bytes(), stderr.Bytes())
	}
	if got := stderr.String(); !strings.HasPrefix(got, "seer cannot run here: CAP_BPF: missing") || strings.Contains(got, "\n") {
		t.Errorf("error of doctor as nobody = %q, want one line that names CAP_BPF", got)
	}
	if !strings.Contains(stdout.String(), "could not find out") {
		t.Errorf("doctor as nobody answers everything:\n%s", stdout.String())
	}
}
