package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"seer/collector/api"
	"seer/collector/qos"
	"seer/collector/tracedb"
	"seer/collector/tracedb/embedded"
)

// storedViolations reads the violations of a database, which may be in use.
func storedViolations(ctx context.Context, dir string) (api.StoredViolations, error) {
	db, err := embedded.OpenCopy(ctx, dir, embedded.Options{})
	if err != nil {
		return nil, readError(err, dir)
	}
	defer db.Close()
	list, err := qos.ReadViolations(ctx, db, time.Time{}, time.Time{})
	for i := range list { // what was open when its Seer stopped is not watched any more
		list[i].Open = false
	}
	return list, newerDatabase(err, dir)
}

// readError says what to do about a database that may not be read.
func readError(err error, dir string) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("database %q: %w: use sudo, or be the user that runs seer", dir, fs.ErrPermission)
	}
	return err
}

// newerDatabase names the database in an error about a newer Seer's decisions.
func newerDatabase(err error, dir string) error {
	if newer, ok := errors.AsType[*tracedb.NewerVersionError](err); ok && newer.Path == "" {
		newer.Path = dir
	}
	return err
}
