package zepmcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"

	"github.com/zep-go/zep"
)

// modelError is an error in words for the model, which can act on it.
type modelError string

func (e modelError) Error() string { return string(e) }

// failed is an error of the Zep client, with what the model can do about it in place of what
// explain would say.
type failed struct {
	error
	advice string
}

func (e failed) Unwrap() error { return e.error }

// explain says in words for the model what went wrong and what to change. The words have no
// address and no key.
func explain(err error) string {
	var words modelError
	if errors.As(err, &words) {
		return string(words)
	}
	what, advice := explainFailure(err)
	var own failed
	if errors.As(err, &own) {
		advice = own.advice
	}
	return strings.TrimSpace(what + " " + advice)
}

// What a model can do.
const (
	sameAgain = "Call again with the same arguments."
	noHelp    = "No change of the arguments helps: the operator of this MCP server has to "
)

// explainFailure says what went wrong, and what to do.
func explainFailure(err error) (what, advice string) {
	var answer *zep.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "The call was canceled.", ""
	case errors.As(err, &answer):
		return explainAnswer(err, answer)
	case errors.Is(err, zep.ErrBadRequest), errors.Is(err, zep.ErrInvalidID):
		why := clientPrefix.ReplaceAllString(err.Error(), "")
		return "The arguments cannot be sent to Zep: " + sentence(why), "Change that argument."
	}
	return "This MCP server failed.", "Call again; if it stays so, tell its operator."
}

func explainAnswer(err error, answer *zep.Error) (what, advice string) {
	switch {
	case errors.Is(err, zep.ErrUnauthorized):
		return "Zep refuses the key of this MCP server.", noHelp + "set another in ZEP_API_KEY."
	case errors.Is(err, zep.ErrEndpointNotFound):
		return "What answers is no Zep v0.x server, or one that is too old for this.",
			noHelp + "check ZEP_API_URL."
	case errors.Is(err, zep.ErrTooLarge):
		return "This is too large for Zep.", "Send less in one call, or ask for less with limit."
	case errors.Is(err, zep.ErrRateLimited):
		return "Zep is too busy.", "Wait some seconds. " + sameAgain
	case errors.Is(err, context.DeadlineExceeded):
		return "Zep did not answer in time.", sameAgain
	case answer.StatusCode == 0:
		return "The Zep server cannot be reached, or its answer was lost.",
			sameAgain + " If it stays so: " + noHelp + "check that Zep runs, and ZEP_API_URL."
	case errors.Is(err, zep.ErrBadRequest):
		return "Zep refuses this: " + sentence(answer.Message), "Change the arguments."
	}
	return fmt.Sprintf("Zep failed with status %d: %s", answer.StatusCode, sentence(answer.Message)),
		sameAgain + " If it stays so, tell the operator of this MCP server."
}

var (
	// clientPrefix is how errors of the client begin that sent nothing.
	clientPrefix = regexp.MustCompile(`^(zep: )?((bad request|invalid id): )?([A-Z]\w+\.\w+: )?`)

	address = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S*`)
)

// sentence returns at most 300 characters of a text from outside, without addresses, as a
// sentence.
func sentence(text string) string {
	runes := []rune(strings.TrimSpace(address.ReplaceAllString(text, "(address)")))
	switch {
	case len(runes) == 0:
		return "it gave no reason."
	case len(runes) > 300:
		return string(runes[:300]) + "…"
	case strings.ContainsRune(".!?…", runes[len(runes)-1]):
		return string(runes)
	}
	return string(runes) + "."
}

// levelOf returns how grave an error is for the operator: those of the model's arguments are not.
func levelOf(err error) slog.Level {
	var words modelError
	if errors.As(err, &words) || errors.Is(err, context.Canceled) {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// logAttrs returns what is logged of an error: of the model's arguments no text, which can be that
// of a message.
func logAttrs(tool string, err error) []slog.Attr {
	attrs := []slog.Attr{slog.String("tool", tool)}
	var words modelError
	if errors.As(err, &words) {
		return append(attrs, slog.String("error", "the arguments, or what they name"))
	}
	return append(attrs, slog.String("error", err.Error()))
}
