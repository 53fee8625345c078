package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

//go:generate go run . gen-man ../../docs/man

// newManCommand returns the hidden command that writes the manual pages.
func newManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "gen-man DIR",
		Short:  "Write the manual pages, one for each command",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("gen-man: %w", err)
			}
			return writeManuals(cmd.Root(), args[0])
		},
	}
}

// dateOfPage is the date that cobra/doc puts in the first line of a page.
var dateOfPage = regexp.MustCompile(`(?m)^(\.TH "[^"]*" "[^"]*") "[^"]*"`)

// writeManuals writes the page of cmd and those of all commands below it. The
// same commands always give the same bytes, so CI can compare them.
func writeManuals(cmd *cobra.Command, dir string) error {
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() || c.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManuals(c, dir); err != nil {
			return err
		}
	}
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultHelpFlag()
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-")
	var page bytes.Buffer
	header := &doc.GenManHeader{Title: strings.ToUpper(name), Section: "8", Source: "Seer", Manual: "Seer Manual", Date: &time.Time{}}
	if err := doc.GenMan(cmd, header, &page); err != nil {
		return fmt.Errorf("gen-man: %s: %w", name, err)
	}
	text := dateOfPage.ReplaceAll(page.Bytes(), []byte(`$1 ""`))
	if err := os.WriteFile(filepath.Join(dir, name+".8"), text, 0o644); err != nil {
		return fmt.Errorf("gen-man: %w", err)
	}
	return nil
}
