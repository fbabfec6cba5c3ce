// Package recording reads exchanges that were recorded with a real server.
package recording

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Exchange is one request to a real Zep, and what it answered.
type Exchange struct {
	Scenario string
	Step     string
	Request  Request
	Response Response
}

// Request is what was sent.
type Request struct {
	Method  string
	Path    string // as it was sent, still escaped
	Headers map[string]string
	Body    string
}

// Response is what was answered. Long bodies are cut, and end in "…".
type Response struct {
	Status  int
	Headers map[string]string
	Body    string
}

// Read reads the exchanges in a file, one JSON object after the other.
func Read(path string) ([]Exchange, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var exchanges []Exchange
	for d := json.NewDecoder(f); ; {
		var x Exchange
		switch err := d.Decode(&x); {
		case errors.Is(err, io.EOF):
			return exchanges, nil
		case err != nil:
			return nil, fmt.Errorf("%s: exchange %d: %w", path, len(exchanges)+1, err)
		}
		exchanges = append(exchanges, x)
	}
}
