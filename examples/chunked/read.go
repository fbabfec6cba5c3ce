package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/zep-go/zep"
)

// row is a user in the file.
type row struct {
	line int
	user zep.CreateUserRequest
}

// byteOrderMark begins files that Excel saves as "CSV UTF-8".
const byteOrderMark = "\ufeff"

// readUsers reads a CSV with a header line, in UTF-8. Empty cells are left out of the metadata.
func readUsers(file io.Reader) ([]row, error) {
	text := bufio.NewReader(file)
	if start, _ := text.Peek(len(byteOrderMark)); string(start) == byteOrderMark {
		_, _ = text.Discard(len(byteOrderMark))
	}
	r := csv.NewReader(text)
	header, err := readRecord(r)
	if err != nil {
		return nil, fmt.Errorf("the header line: %w", err)
	}
	if !slices.Contains(header, "user_id") {
		return nil, fmt.Errorf("the header line %q has no user_id", header)
	}
	var rows []row
	lines := map[string]int{}
	for {
		cells, err := readRecord(r)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		line, _ := r.FieldPos(0)
		user := newUser(header, cells)
		if first, repeated := lines[user.UserID]; repeated {
			return nil, fmt.Errorf("line %d: user_id %q is in line %d too",
				line, user.UserID, first)
		}
		lines[user.UserID] = line
		rows = append(rows, row{line, user})
	}
}

// readRecord reads a record, and fails if it is not UTF-8: the request would not carry its bytes.
func readRecord(r *csv.Reader) ([]string, error) {
	cells, err := r.Read()
	for i, cell := range cells {
		if utf8.ValidString(cell) {
			continue
		}
		line, _ := r.FieldPos(i)
		line += strings.Count(cell[:invalidByte(cell)], "\n")
		return nil, fmt.Errorf("line %d: not UTF-8: save the file as UTF-8", line)
	}
	return cells, err
}

// invalidByte returns where the first byte is that is not UTF-8.
func invalidByte(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)) {
			return i
		}
	}
	return len(text)
}

func newUser(header, cells []string) zep.CreateUserRequest {
	user := zep.CreateUserRequest{Metadata: zep.Metadata{}}
	for i, cell := range cells {
		switch header[i] {
		case "user_id":
			user.UserID = cell
		case "email":
			user.Email = cell
		case "first_name":
			user.FirstName = cell
		case "last_name":
			user.LastName = cell
		default:
			if cell != "" {
				user.Metadata[header[i]] = cell
			}
		}
	}
	return user
}
