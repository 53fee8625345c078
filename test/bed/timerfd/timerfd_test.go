package timerfd

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestWait(t *testing.T) {
	timer, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer timer.Close()
	for _, d := range []time.Duration{-1, 0, 50 * time.Microsecond, 700 * time.Microsecond, 3 * time.Millisecond} {
		for range 20 {
			begin := time.Now()
			if err := timer.Wait(t.Context(), d); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); took < d {
				t.Errorf("Wait(%s) returned after %s", d, took)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := timer.Wait(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait(cancelled) = %v, want %v", err, context.Canceled)
	}
}
