package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zep-go/zep"
)

// script has what the user says, by run. After the last one it starts over.
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

// converse answers each line until the input ends or a line says goodbye. With a prompt it prints
// the start of each line only: the terminal shows what is typed.
func converse(ctx context.Context, p printer, m *memory, in io.Reader, prompt bool) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	lines := readLines(ctx, in)
	for {
		if prompt {
			p.begin(string(zep.RoleUser))
		}
		var line input
		select {
		case line = <-lines:
		case <-ctx.Done():
			line.err = ctx.Err()
		}
		if line.err != nil || line.end {
			if prompt {
				p.printf("\n")
			}
			return line.err
		}
		text := strings.TrimSpace(line.text)
		if text == "" {
			continue
		}
		if !prompt {
			p.say(string(zep.RoleUser), text)
		}
		if err := reply(ctx, p, m, text); err != nil {
			return err
		}
		if intentOf(text) == farewell {
			return nil
		}
	}
}

// reply answers one line and stores both.
func reply(ctx context.Context, p printer, m *memory, line string) error {
	text := ""
	kind := intentOf(line)
	switch kind {
	case greeting:
		text = "Hello! Tell me what to remember, and ask me for it later."
		if m.run > 1 {
			text = "Welcome back."
		}
	case thanks:
		text = "You are welcome."
	case farewell:
		text = "Goodbye."
	case statement:
		text = "I will remember that."
	case question:
		var err error
		if text, err = lookUp(ctx, p, m, line); err != nil {
			return err
		}
	}
	if err := m.add(ctx, line, kind == statement, text); err != nil {
		return err
	}
	p.say(string(zep.RoleAssistant), text)
	return nil
}

// lookUp answers a question from the memory, and prints the facts that it found.
func lookUp(ctx context.Context, p printer, m *memory, question string) (string, error) {
	found, err := m.search(ctx, question)
	if err != nil {
		return "", err
	}
	for _, f := range found {
		p.say("(search)", fmt.Sprintf("%.2f  %s", f.dist, f.text))
	}
	recent, err := m.recent(ctx)
	if err != nil {
		return "", err
	}
	f, known := choose(question, slices.Concat(found, recent))
	if known && !slices.ContainsFunc(found, func(s fact) bool { return s.uuid == f.uuid }) {
		p.say("(recent)", f.text)
	}
	return answer(m.run, f, known), nil
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
