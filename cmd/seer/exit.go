package main

import "errors"

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
