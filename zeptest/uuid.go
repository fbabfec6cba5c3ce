package zeptest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// uuid is a UUID in its usual form, in lower case, or empty.
type uuid string

// nilUUID is how Zep writes no UUID, and one of the ways to send none.
const nilUUID uuid = "00000000-0000-0000-0000-000000000000"

func (u uuid) isNil() bool { return u == "" || u == nilUUID }

// UnmarshalText takes what Zep takes. An empty text is an error.
func (u *uuid) UnmarshalText(text []byte) error {
	parsed, err := parseUUID(string(text))
	if err == nil {
		*u = parsed
	}
	return err
}

// parseUUID reads the forms that Zep reads: the usual one, also as a URN or in braces, and 32 hex
// digits.
func parseUUID(text string) (uuid, error) {
	const usual, urn = 36, "urn:uuid:"
	s := text
	switch len(text) {
	case usual:
	case usual + len(urn):
		if !strings.EqualFold(text[:len(urn)], urn) {
			return "", fmt.Errorf("invalid urn prefix: %q", text[:len(urn)])
		}
		s = text[len(urn):]
	case usual + len("{}"):
		s = text[1 : 1+usual]
	case 32:
		s = text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
	default:
		return "", fmt.Errorf("invalid UUID length: %d", len(text))
	}
	groups := strings.Split(s, "-")
	if len(groups) != 5 || len(groups[0]) != 8 || len(groups[1]) != 4 || len(groups[2]) != 4 ||
		len(groups[3]) != 4 {
		return "", errors.New("invalid UUID format")
	}
	if _, err := hex.DecodeString(strings.Join(groups, "")); err != nil {
		return "", errors.New("invalid UUID format")
	}
	return uuid(strings.ToLower(s)), nil
}
