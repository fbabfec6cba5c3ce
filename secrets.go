package zep

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/zep-go/zep/internal/redact"
)

// secrets returns what is secret in the values of Authorization headers.
func secrets(authorization []string) redact.Secrets {
	var found redact.Secrets
	for _, value := range authorization {
		value = strings.TrimSpace(value)
		if _, after, ok := strings.Cut(value, " "); ok {
			value = strings.TrimSpace(after)
		}
		if value != "" {
			found = append(found, redact.New(value))
		}
	}
	return found
}

// redactCause returns an error without the secrets. If its text, or that of an error that it wraps,
// has one, only the errors that callers match stay.
func redactCause(r redact.Secrets, err error) error {
	if !inError(r, err) {
		return err
	}
	var kept []error
	for _, known := range []error{ErrTooLarge, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			kept = append(kept, known)
		}
	}
	return errors.Join(kept...)
}

// inError reports whether the text of an error, or that of one that it wraps, has a secret.
func inError(r redact.Secrets, err error) bool {
	if err == nil {
		return false
	}
	if r.In(err.Error()) {
		return true
	}
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return inError(r, err.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(err.Unwrap(), func(err error) bool { return inError(r, err) })
	}
	return false
}
