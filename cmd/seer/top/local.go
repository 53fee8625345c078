package top

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"seer/collector/api"
)

// LocalFeed starts a Seer inside this process, for when none runs on the host.
// It is nil in builds that cannot trace. It
// needs root, and must not write to the terminal: give it a quiet logger.
var LocalFeed func(ctx context.Context) (Feed, error)

// NewLocalFeed returns the feed of a server in this process, over a control
// socket of its own that nobody else is told of. Closing the feed closes the
// socket and then, unless nil, calls stop. It starts a goroutine, which ends
// with the feed.
func NewLocalFeed(server *api.Server, stop func() error) (Feed, error) {
	dir, err := os.MkdirTemp("", "seer-top-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the control socket: %w", err)
	}
	path := filepath.Join(dir, "seer.sock")
	listener, err := api.Listen(path)
	if err != nil {
		os.RemoveAll(dir)
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	end := func() error {
		cancel()
		err := errors.Join(<-served, os.RemoveAll(dir))
		if stop != nil {
			err = errors.Join(err, stop())
		}
		return err
	}
	client, err := api.Dial(ctx, path)
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return NewFeed(client, end), nil
}
