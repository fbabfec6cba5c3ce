package zep

import (
	"crypto/rand"
	"fmt"
	"strings"
)

// zeroUUID stands for a summary that does not exist, and for a message without a UUID.
const zeroUUID = "00000000-0000-0000-0000-000000000000"

// newUUID returns a random UUID: version 4 of RFC 9562.
func newUUID() string {
	var u [16]byte
	if _, err := rand.Read(u[:]); err != nil {
		panic("zep: no randomness: " + err.Error()) // never, as crypto/rand says from Go 1.24 on
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// uuidKey returns one form for all those in which the server reads a UUID: in upper case, in
// braces, as a URN, without hyphens.
func uuidKey(uuid string) string {
	return uuidPunctuation.Replace(strings.TrimPrefix(strings.ToLower(uuid), "urn:uuid:"))
}

var uuidPunctuation = strings.NewReplacer("-", "", "{", "", "}", "")
