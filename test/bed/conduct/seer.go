//go:build linux

package conduct

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"seer/collector"
	"seer/collector/api"
	"seer/test/bed"
	"seer/test/bed/host"
)

// seer is a Seer that traces the host, as users run it, in a container of its own.
type seer struct {
	job    *bed.Job
	db     string
	queues []string // that it can measure here, in column order
}

// seerTimeout bounds its start. It loads its programs, and finds every socket.
const seerTimeout = time.Minute

// startSeer starts Seer and waits until it measures.
func startSeer(ctx context.Context, b *bed.Bed, program string, tick time.Duration, budget string) (*seer, error) {
	s := &seer{db: filepath.Join(b.Data, "seer-db")}
	socket, log := filepath.Join(b.Data, "seer.sock"), filepath.Join(b.Data, "seer.log")
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd := exec.Command(program, "run", "--db", s.db, "--socket", socket, "--tick", tick.String(), "--cpu-budget", budget, "--config", os.DevNull)
	cmd.Stdout, cmd.Stderr = out, out
	if s.job, err = b.RunOnHost(ctx, "seer", host.Limits{}, cmd); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, seerTimeout)
	defer cancel()
	poll := time.NewTicker(200 * time.Millisecond)
	defer poll.Stop()
	for {
		if s.queues, err = measured(ctx, socket); err == nil && len(s.queues) > 0 {
			return s, nil
		}
		select {
		case <-poll.C:
			continue
		case <-s.job.Done():
			err = fmt.Errorf("it has ended (%w)", s.job.Wait())
		case <-ctx.Done():
			err = fmt.Errorf("it measures nothing after %s (%w)", seerTimeout, err)
		}
		said, _ := os.ReadFile(log)
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return nil, fmt.Errorf("start seer: %w; it said: %s", err, lines[len(lines)-1])
	}
}

// measured asks which queues of any container hold a measurement.
func measured(ctx context.Context, socket string) ([]string, error) {
	client, err := api.Dial(ctx, socket)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	document, err := client.Get(ctx, "queue", api.Selector{})
	if err != nil {
		return nil, err
	}
	var rows []api.QueueRow
	if err := json.Unmarshal(document.Rows, &rows); err != nil {
		return nil, err
	}
	valid := map[string]bool{}
	for _, r := range rows {
		valid[r.Queue] = valid[r.Queue] || r.Valid
	}
	var queues []string
	for _, q := range collector.Queues {
		if valid[q.Name] {
			queues = append(queues, q.Name)
		}
	}
	return queues, nil
}

// stop ends Seer, which then writes what it has not written yet.
func (s *seer) stop(ctx context.Context) error {
	select {
	case <-s.job.Done():
		return fmt.Errorf("seer has ended (%w) before the campaign", s.job.Wait())
	default:
	}
	if err := s.job.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop seer: %w", err)
	}
	select {
	case <-s.job.Done():
	case <-ctx.Done():
		return fmt.Errorf("stop seer: %w", context.Cause(ctx))
	}
	return s.job.Stop(ctx)
}
