package api

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// asUser runs f with the effective user of this thread alone changed: the
// kernel notes the connecting thread's user, and takes it for file access.
func asUser(t *testing.T, uid int, f func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with us
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- errno
			return
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatalf("become user %d: %v", uid, err)
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not supported without root: becoming another user")
	}
	src, tick := shop()
	s := New(Config{Source: src})
	s.Consume(tick)
	path := serve(t, s)

	const nobody = 65534
	asUser(t, nobody, func() {
		_, err := Dial(t.Context(), path)
		wantError(t, "Dial as nobody", err, ErrPermission)
	})

	// Even with the file modes out of the way the kernel's word decides.
	folder := filepath.Dir(path)
	for _, dir := range []string{folder, filepath.Dir(folder), filepath.Dir(filepath.Dir(folder))} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	asUser(t, nobody, func() {
		addr := &unix.SockaddrUnix{Name: path}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer unix.Close(fd)
		if err := unix.Connect(fd, addr); err != nil {
			t.Errorf("connect as nobody: %v", err)
			return
		}
		if _, err := unix.Write(fd, []byte("GET /v1/queue HTTP/1.0\r\n\r\n")); err != nil {
			t.Error(err)
			return
		}
		answer := make([]byte, 64)
		n, err := unix.Read(fd, answer)
		if want := "HTTP/1.0 403"; err != nil || string(answer[:min(n, len(want))]) != want {
			t.Errorf("answer to nobody = %q, %v, want %q", answer[:n], err, want)
		}
	})
	if _, err := dial(t, path).Get(t.Context(), "queue", Selector{}); err != nil {
		t.Errorf("Get as root: %v", err)
	}
}

// A connection whose user could not be found out is refused.
func TestUnknownPeerIsRefused(t *testing.T) {
	h := authorise(http.NotFoundHandler(), 0)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/v1/queue", nil))
	if w.Code != http.StatusForbidden {
		t.Errorf("status = %d, want 403", w.Code)
	}
}
