package zeptest

import (
	"fmt"
	"strconv"
	"strings"
)

// serverVersion is a version of Zep: the text of its header, and the number of the release 0.N.
type serverVersion struct {
	header string
	minor  int
}

const (
	oldestMinor = 15
	newestMinor = 27
)

var newestVersion = parseServerVersion("0.27.2")

// parseServerVersion reads the version at the beginning of a text. It panics if the server does
// not know how that version behaves. A text that does not begin with a number is a build of the
// newest.
func parseServerVersion(text string) serverVersion {
	v := serverVersion{header: text, minor: newestMinor}
	number, _, _ := strings.Cut(text, "-")
	parts := strings.Split(number, ".")
	if _, err := strconv.Atoi(parts[0]); err != nil {
		return v
	}
	var err error
	if len(parts) < 2 || parts[0] != "0" {
		err = strconv.ErrSyntax
	} else {
		v.minor, err = strconv.Atoi(parts[1])
	}
	if err != nil || v.minor < oldestMinor || v.minor > newestMinor {
		panic(fmt.Sprintf("zeptest: server version %q: must be 0.%d to 0.%d, or not a number",
			text, oldestMinor, newestMinor))
	}
	if number == text {
		v.header = text + "-abc1234 (2024-05-01T12:00:00Z)"
	}
	return v
}

// keepsMessageTimes says whether the created_at that a message is sent with is stored.
func (v serverVersion) keepsMessageTimes() bool { return v.minor <= 16 }

// searchesFindOr404 says whether a memory search that finds nothing is answered with 404.
func (v serverVersion) searchesFindOr404() bool { return v.minor <= 18 }

// hasOldMemory says whether the memory is that of the releases up to 0.19: a session without
// messages has none, and a message with a UUID that is taken replaces the one that has it.
func (v serverVersion) hasOldMemory() bool { return v.minor <= 19 }

// window returns the messages of a memory that is asked for without a number of messages.
func (v serverVersion) window(messages []string) []string {
	switch {
	case v.minor == 15:
		return messages
	case v.hasOldMemory():
		return firstOf(messages, memoryWindow)
	}
	return lastOf(messages, memoryWindow)
}

// capitalizesCreate says whether the errors of collections and documents have "Create".
func (v serverVersion) capitalizesCreate() bool { return v.minor <= 19 }

// hasMessageRoutes says whether there are paths below /sessions/{sessionId}/messages.
func (v serverVersion) hasMessageRoutes() bool { return v.minor >= 21 }

// failsLockedUsers says whether the update of a locked user ends in an error. Before, it never
// ends.
func (v serverVersion) failsLockedUsers() bool { return v.minor >= 27 }

// create is the verb in the errors of collections and documents.
func (v serverVersion) create() string {
	if v.capitalizesCreate() {
		return "Create"
	}
	return "create"
}
