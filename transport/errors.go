package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// What a request may fail of before a byte of it was sent.
var (
	// ErrClosed: the Transport was closed.
	ErrClosed = errors.New("transport: closed")
	// ErrQueueFull: MaxConns connections are busy and MaxQueued requests wait.
	ErrQueueFull = errors.New("transport: too many requests wait for a connection")
	// ErrQueueTimeout: no connection came free within QueueTimeout.
	ErrQueueTimeout error = &lateError{"transport: no connection came free in time"}
)

// Stage is how far a request got that failed.
type Stage uint8

const (
	// NothingSent: not one byte of the request was handed to the kernel. Any request may be sent
	// again.
	NothingSent Stage = iota
	// NoAnswer: some or all of the request was sent, and not one byte of an answer came. The
	// backend may or may not have acted on it.
	NoAnswer
	// BrokenOff: an answer began, and was malformed or ended too early.
	BrokenOff
)

// String returns the stage's name.
func (s Stage) String() string {
	switch s {
	case NothingSent:
		return "nothing sent"
	case NoAnswer:
		return "no answer"
	case BrokenOff:
		return "answer broken off"
	}
	return "Stage(" + strconv.Itoa(int(s)) + ")"
}

// Error says what became of the bytes of a request that failed.
type Error struct {
	// Stage is how far it got.
	Stage Stage
	// Client is true when it was not the backend's fault: the request could not be sent as it
	// was, its body failed, or its context ended.
	Client bool
	// Err is the cause. A timeout of ours is a net.Error and wraps os.ErrDeadlineExceeded.
	Err error
}

// Error returns the stage and the cause.
func (e *Error) Error() string { return "transport: " + e.Stage.String() + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether a timeout of ours, or the context's, was the cause.
func (e *Error) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.Err, &timeout) && timeout.Timeout()
}

// lateError is a bound of Config that passed.
type lateError struct{ what string }

func (e *lateError) Error() string   { return e.what }
func (e *lateError) Timeout() bool   { return true }
func (e *lateError) Temporary() bool { return true }
func (e *lateError) Unwrap() error   { return os.ErrDeadlineExceeded }

// endOf returns why ctx ended, or nil.
func endOf(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != err {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
