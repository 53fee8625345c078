package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"seer/collector/feature"
)

const doctorLong = `Doctor tries every kernel feature, capability, cgroup controller and limit that
Seer uses, and says for each whether it works, is missing, or could not be found
out; what is lost without it; and what to do. Each kernel feature is tried for
real: a minimal program is loaded, attached and closed again. Nothing stays
attached, and the whole takes less than a second.

Doctor exits with 0 if Seer can run here and with 3 if it cannot at all. A queue
that is lost does not make it fail: Seer runs without it.`

const doctorExamples = `  sudo seer doctor        everything, for people
  sudo seer doctor -j     the same as one JSON object
  seer doctor             what can be found out without privileges`

// newDoctorCommand returns `seer doctor`.
func newDoctorCommand() *cobra.Command {
	var asJSON bool
	var opts feature.Options
	cmd := &cobra.Command{
		Use:     "doctor [-j]",
		Short:   "Say what this host lets Seer do, and what to do about the rest",
		Long:    doctorLong,
		Example: doctorExamples,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := feature.Probe(cmd.Context(), opts)
			if err != nil {
				return fmt.Errorf("doctor: %w", err)
			}
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
			} else {
				err = report.WriteText(cmd.OutOrStdout())
			}
			if err != nil {
				return fmt.Errorf("doctor: write the report: %w", err)
			}
			if err := report.Err(); err != nil {
				return kernelError(err)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&asJSON, "json", "j", false, "print one JSON object")
	cmd.Flags().StringVar(&opts.DBDir, "db", defaultDB, "directory of the database, whose free space is checked")
	return cmd
}
