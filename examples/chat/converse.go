package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/zep-go/zep"
)

// script is what the user says in the runs. The fourth is as the first.
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

// A printer prints who says what, in two columns.
type printer struct {
	w    io.Writer
	user string
}

func (p printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

// begin begins a line, and calls the user by his id.
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

// converse answers each line, until there are no more or one says goodbye. With a prompt the input shows itself what is typed.
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
		if err := turn(ctx, p, m, text); err != nil {
			return err
		}
		if intentOf(text) == leaves {
			return nil
		}
	}
}

// turn answers one line, and keeps both.
func turn(ctx context.Context, p printer, m *memory, line string) error {
	reply := ""
	kind := intentOf(line)
	switch kind {
	case greets:
		reply = "Hello! Tell me what to remember, and ask me for it later."
		if m.run > 1 {
			reply = "Welcome back."
		}
	case thanks:
		reply = "You are welcome."
	case leaves:
		reply = "Goodbye."
	case tells:
		reply = "I will remember that."
	case asks:
		var err error
		if reply, err = look(ctx, p, m, line); err != nil {
			return err
		}
	}
	if err := m.keep(ctx, line, kind == tells, reply); err != nil {
		return err
	}
	p.say(string(zep.RoleAssistant), reply)
	return nil
}

// look looks through the memory for what answers a question, and shows what it finds.
func look(ctx context.Context, p printer, m *memory, question string) (string, error) {
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

// An input is a line, or why there is none.
type input struct {
	text string
	end  bool
	err  error
}

// readLines reads lines until ctx ends. It does so aside, since a read that waits for someone to type cannot be called off.
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
		scanner := bufio.NewScanner(in)
		for scanner.Scan() {
			if !send(input{text: scanner.Text()}) {
				return
			}
		}
		send(input{end: scanner.Err() == nil, err: scanner.Err()})
	}()
	return lines
}
