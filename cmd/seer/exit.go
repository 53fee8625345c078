package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes (DESIGN.md section 10).
const (
	exitFailed         = 1
	exitUsage          = 2
	exitKernel         = 3 // a kernel feature or capability is missing
	exitNothingMatched = 4
)

// codedError is an error with the exit code that tells its kind.
type codedError struct {
	error
	code int
}

// Unwrap returns the error without its code.
func (e *codedError) Unwrap() error { return e.error }

func usageError(err error) error     { return &codedError{err, exitUsage} }
func kernelError(err error) error    { return &codedError{err, exitKernel} }
func nothingMatched(err error) error { return &codedError{err, exitNothingMatched} }

// exitCode returns what the process exits with when a command returned err.
func exitCode(err error) int {
	if err == nil {
		return 0
	}
	if coded, ok := errors.AsType[*codedError](err); ok {
		return coded.code
	}
	return exitFailed
}

// oneLine puts an error that joins several, or quotes a parser, into one line.
func oneLine(err error) string {
	lines := strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

// flagError says which flag of which command is wrong, and why.
func flagError(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = fmt.Errorf("--%s %q: %w", invalid.GetFlag().Name, invalid.GetValue(), wrongValue(err))
	}
	return usageError(fmt.Errorf("%s%w: see `%s --help`", commandPrefix(cmd), err, cmd.CommandPath()))
}

// wrongValue returns why a flag refused its value, without the name and the
// value, which the caller has just given.
func wrongValue(err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	switch invalid.GetFlag().Value.Type() {
	case "duration":
		return errors.New("want a duration, such as 100ms, 2s or 1m")
	case "bool":
		return errors.New("want true or false")
	case "int":
		return errors.New("want a whole number")
	}
	return invalid.Unwrap()
}

// noArguments refuses words after a command that takes flags only.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError(fmt.Errorf("%s%q: takes flags only: see `%s --help`", commandPrefix(cmd), args[0], cmd.CommandPath()))
}

// commandPrefix starts the errors of a command: "run: ", nothing for seer.
func commandPrefix(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return ""
	}
	return cmd.Name() + ": "
}
