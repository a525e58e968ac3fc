package lbtest

import (
	"errors"
	"fmt"
)

// law is one thing that a kit checks. Holds returns what is wrong, or nil.
type law[T any] struct {
	name  string
	holds func(T) error
}

// judge tries every law on a subject of its own, and returns an error that lists the broken ones.
func judge[T any](subject func() T, laws []law[T]) error {
	var errs []error
	for _, l := range laws {
		err := caught(func() error { return l.holds(subject()) })
		if err != nil {
			errs = append(errs, fmt.Errorf("lbtest: %s: %w", l.name, err))
		}
	}
	return errors.Join(errs...)
}

// caught makes a panic of f an error.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panics: %v", p)
		}
	}()
	return f()
}

// together runs f in n goroutines, and returns their first error when all have ended.
func together(n int, f func(g int) error) error {
	errs := make(chan error, n)
	for g := range n {
		go func() { errs <- caught(func() error { return f(g) }) }()
	}
	var first error
	for range n {
		if err := <-errs; first == nil {
			first = err
		}
	}
	return first
}
