package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"seer/collector/api"
	"seer/collector/qos"
	"seer/collector/tracedb/embedded"
)

// newLabelCommand returns `seer label`.
func newLabelCommand() *cobra.Command {
	var socket, db string
	cmd := &cobra.Command{
		Use:   "label ID CULPRIT",
		Short: "Say which service started a violation",
		Long: `Label corrects the culprit of a violation. Seer names one from what waited where;
who knows better says so, and models are trained with that.

ID is as "seer inspect violation" shows it. CULPRIT is a service, "load" where users
asked for more than there is room for, or "cannot tell". The running Seer is told;
where none runs, the database is changed.`,
		Example: `  seer label 20260301T120003.0-frontend cart-db
  seer label 20260301T120003.0-frontend load
  sudo seer label --db /srv/seer 20260301T120003.0-frontend 'cannot tell'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError(errors.New("label: want the ID of a violation and its culprit: `seer inspect violation` lists them"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if path := os.Getenv("SEER_SOCKET"); path != "" && !cmd.Flags().Changed("socket") {
				socket = path
			}
			if dir := os.Getenv("SEER_DB"); dir != "" && !cmd.Flags().Changed("db") {
				db = dir
			}
			if err := qos.CheckCulprit(args[1]); err != nil {
				return usageError(fmt.Errorf("label: %w", err))
			}
			err := label(cmd.Context(), socket, db, args[0], args[1])
			if errors.Is(err, qos.ErrNoViolation) {
				err = nothingMatched(err)
			}
			if err != nil {
				return fmt.Errorf("label: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: culprit %s\n", args[0], args[1])
			return nil
		},
	}
	cmd.SetFlagErrorFunc(flagError)
	cmd.Flags().StringVar(&socket, "socket", api.DefaultSocket, "control socket of the running seer (SEER_SOCKET)")
	cmd.Flags().StringVar(&db, "db", defaultDB, "database directory, where no seer runs (SEER_DB)")
	_ = cmd.MarkFlagDirname("db")
	return cmd
}

// label tells the running Seer, or else changes the database.
func label(ctx context.Context, socket, dir, id, culprit string) error {
	client, err := api.Dial(ctx, socket)
	switch {
	case err == nil:
		defer client.Close()
		return client.Label(ctx, id, culprit)
	case errors.Is(err, api.ErrPermission):
		return kernelError(err)
	case !errors.Is(err, api.ErrNotRunning):
		return err
	}
	// Open would make one.
	if _, err := storedViolations(ctx, dir); err != nil {
		return err
	}
	db, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		return readError(err, dir)
	}
	_, err = qos.RelabelStored(ctx, db, id, culprit, fmt.Sprintf("user %d", os.Getuid()))
	return errors.Join(err, db.Close())
}
