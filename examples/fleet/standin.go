package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
)

// lockServer gives locks to processes of this machine: a stand-in for PostgreSQL. A connection
// asks for one lock, by a line with its key. It is answered with a line when it has the lock,
// and has it until the connection ends.
type lockServer struct {
	net.Listener

	mu    sync.Mutex
	locks map[string]chan struct{} // of a key; holds a value while a connection has the lock
	conns map[net.Conn]struct{}
	done  chan struct{} // closed when the server ends
	all   sync.WaitGroup
}

func newLockServer() (*lockServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &lockServer{
		Listener: listener,
		locks:    map[string]chan struct{}{},
		conns:    map[net.Conn]struct{}{},
		done:     make(chan struct{}),
	}
	s.all.Add(1)
	go s.accept()
	return s, nil
}

func (s *lockServer) accept() {
	defer s.all.Done()
	for {
		conn, err := s.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.all.Add(1)
		go func() {
			defer s.all.Done()
			s.serve(conn)
			conn.Close()
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		}()
	}
}

// serve gives one lock to one connection.
func (s *lockServer) serve(conn net.Conn) {
	reader := bufio.NewReader(conn)
	key, err := reader.ReadString('\n')
	if err != nil {
		return
	}
	ended := make(chan struct{})
	s.all.Add(1)
	go func() {
		defer s.all.Done()
		defer close(ended)
		_, _ = reader.ReadByte() // nothing comes but the end
	}()
	lock := s.lock(key)
	select {
	case lock <- struct{}{}:
	case <-ended:
		return
	case <-s.done:
		return
	}
	defer func() { <-lock }()
	if _, err := conn.Write([]byte("held\n")); err == nil {
		<-ended
	}
}

func (s *lockServer) lock(key string) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.locks[key] == nil {
		s.locks[key] = make(chan struct{}, 1)
	}
	return s.locks[key]
}

// Close ends all locks.
func (s *lockServer) Close() {
	s.Listener.Close()
	close(s.done)
	s.mu.Lock()
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// standIn is a Locker that asks a lockServer.
type standIn struct{ address string }

func (l standIn) Lock(ctx context.Context, key string) (context.Context, func(), error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	reader := bufio.NewReader(conn)
	if _, err = conn.Write([]byte(strings.ReplaceAll(key, "\n", " ") + "\n")); err == nil {
		_, err = reader.ReadString('\n')
	}
	if !stop() { // ctx has ended
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	// The lock is lost when the connection ends.
	held, lose := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = reader.ReadByte()
		lose()
	}()
	return held, func() {
		conn.Close()
		<-ended
	}, nil
}
