package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/zep-go/zep"
)

// script has what the user says, by visit.
var script = []string{
	`Hello!
My sister Ann lives in Bergen.
She keeps bees, and sells the honey.
I must not eat nuts.
Bye!`,

	`Hello again!
Where does my sister live?
What must I not eat?
I have a ticket for the night train to Bergen on Friday.
Bye!`,

	`When does my train leave?
Who sells honey?
What is my brother called?
Thank you!
Bye!`,
}

// visitor is a client of the service.
type visitor struct {
	http          *http.Client
	url           string // of the session in the service
	user, session string
	printer
}

// newVisitor returns a client of the service at the base URL.
func newVisitor(w io.Writer, base string, s settings) *visitor {
	return &visitor{
		http:    &http.Client{Transport: &http.Transport{}}, // with connections of its own
		url:     base + "/chat/" + url.PathEscape(s.session),
		user:    s.user,
		session: s.session,
		printer: printer{w, s.user},
	}
}

// errNoSession is the service's answer for a session that does not exist.
var errNoSession = errors.New("there is no such session")

// call makes a request of the service. from is its body, unless it is nil; into is what is
// decoded.
func (v *visitor) call(ctx context.Context, method, query string, from, into any) error {
	body := &bytes.Buffer{}
	if from != nil {
		if err := json.NewEncoder(body).Encode(from); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, v.url+query, body)
	if err != nil {
		return err
	}
	answer, err := v.http.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return json.NewDecoder(answer.Body).Decode(into)
	case http.StatusNotFound:
		return errNoSession
	}
	var failure struct{ Error string }
	if err := json.NewDecoder(answer.Body).Decode(&failure); err != nil {
		return fmt.Errorf("%s %s: %s", method, v.url, answer.Status)
	}
	return fmt.Errorf("%s %s: %s: %s", method, v.url, answer.Status, failure.Error)
}

// printer prints speakers and texts in two columns.
type printer struct {
	w    io.Writer
	user string
}

func (p printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// begin prints the start of a line. The role user is printed as the user's id.
func (p printer) begin(who string) {
	if who == string(zep.RoleUser) {
		who = p.user
	}
	p.printf("  %-*s  ", max(len("assistant"), len(p.user)), who)
}

func (p printer) say(who, what string) {
	p.begin(who)
	p.printf("%s\n", what)
}

// resume prints the last messages.
func (v *visitor) resume(ctx context.Context, last int) error {
	var found history
	err := v.call(ctx, http.MethodGet, fmt.Sprintf("?last=%d", last), nil, &found)
	if errors.Is(err, errNoSession) {
		v.printf("\nThe session %s is new.\n", v.session)
		return nil
	}
	if err != nil {
		return err
	}
	v.printf("\nThe last %d messages of the session %s:\n", len(found.Messages), v.session)
	if found.Summary != "" {
		v.say("(before)", found.Summary)
	}
	for _, message := range found.Messages {
		v.say(string(message.Role), message.Text)
	}
	v.printf("And now:\n")
	return nil
}

// converse sends each line until the input ends or a line says goodbye. With a prompt it prints
// the start of each line only: the terminal shows what is typed.
func (v *visitor) converse(ctx context.Context, in io.Reader, prompt bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := readLines(ctx, in)
	for {
		if prompt {
			v.begin(string(zep.RoleUser))
		}
		var line input
		select {
		case line = <-lines:
		case <-ctx.Done():
			line.err = ctx.Err()
		}
		if line.err != nil || line.end {
			if prompt {
				v.printf("\n")
			}
			return line.err
		}
		text := strings.TrimSpace(line.text)
		if text == "" {
			continue
		}
		if !prompt {
			v.say(string(zep.RoleUser), text)
		}
		var answer reply
		if err := v.call(ctx, http.MethodPost, "", turn{v.user, text}, &answer); err != nil {
			return err
		}
		for _, f := range answer.Facts {
			v.say("(fact)", fmt.Sprintf("%.2f  %s", f.Score, f.Text))
		}
		v.say(string(zep.RoleAssistant), answer.Answer)
		if intentOf(text) == farewell {
			return nil
		}
	}
}

// forget deletes the session.
func (v *visitor) forget(ctx context.Context) error {
	err := v.call(ctx, http.MethodDelete, "", nil, &struct{}{})
	switch {
	case errors.Is(err, errNoSession):
		v.printf("There is no session %s.\n", v.session)
	case err != nil:
		return err
	default:
		v.printf("The session %s is deleted.\n", v.session)
	}
	return nil
}

// input is a line, or the reason why there is none.
type input struct {
	text string
	end  bool
	err  error
}

// readLines reads lines of any length until ctx ends, in a goroutine of its own: a read from a
// terminal cannot be cancelled.
func readLines(ctx context.Context, in io.Reader) <-chan input {
	lines := make(chan input)
	send := func(line input) bool {
		select {
		case lines <- line:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		reader := bufio.NewReader(in)
		for {
			text, err := reader.ReadString('\n')
			if text != "" && !send(input{text: text}) {
				return
			}
			if errors.Is(err, io.EOF) {
				send(input{end: true})
				return
			}
			if err != nil {
				send(input{err: err})
				return
			}
		}
	}()
	return lines
}
