package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"seer/infer/campaign"
)

func newCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check DIR...",
		Short: "Hold directories of campaigns to their format",
		Long: `Check reads all of a campaign's directory, of the simulator or of the testbed, and
says what is wrong with it, a line each. Nothing wrong: exit status 0.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("check: which directory? see `seersim check --help`")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			bad := 0
			for _, dir := range args {
				problems := campaign.Check(dir)
				for _, p := range problems {
					fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", dir, p)
				}
				if len(problems) > 0 {
					bad++
				}
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d directories are not what they should be", bad, len(args))
			}
			return nil
		},
	}
}
