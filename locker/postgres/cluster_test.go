//go:build unix

package postgres_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A cluster is a PostgreSQL server of the tests, in a directory of its own, on a loopback port.
type cluster struct {
	bin, dir string
	port     int
	process  *syscall.SysProcAttr // as whom the server runs
	server   *exec.Cmd
	input    io.Closer // the server stops when it is closed
}

const superuserPassword = "the password of the tests"

var errNoPostgres = errors.New("there is no PostgreSQL in the PATH or in /usr/lib/postgresql")

// findPostgres returns the directory of PostgreSQL's programs.
func findPostgres() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errNoPostgres
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// newCluster makes a cluster that is not started.
func newCluster() (c *cluster, err error) {
	bin, err := findPostgres()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "zep-locker-")
	if err != nil {
		return nil, err
	}
	c = &cluster{bin: bin, dir: dir}
	defer func() {
		if err != nil {
			os.RemoveAll(dir)
		}
	}()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(superuserPassword), 0o644); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		uid, gid, err := lookup("postgres")
		if err != nil {
			return nil, err
		}
		c.process = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		if err := os.Chown(dir, int(uid), int(gid)); err != nil {
			return nil, err
		}
	}
	initdb := c.command("initdb", "-D", c.data(), "-U", "postgres", "-E", "UTF8", "--no-locale",
		"--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256",
		"--pwfile="+password)
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c, nil
}

func lookup(name string) (uid, gid uint32, err error) {
	u, err := user.Lookup(name)
	if err != nil {
		return 0, 0, err
	}
	ids := [2]uint64{}
	for i, text := range []string{u.Uid, u.Gid} {
		if ids[i], err = strconv.ParseUint(text, 10, 32); err != nil {
			return 0, 0, err
		}
	}
	return uint32(ids[0]), uint32(ids[1]), nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.SysProcAttr = c.process
	return cmd
}

// start starts the server and waits until it takes connections.
func (c *cluster) start() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c.port = listener.Addr().(*net.TCPAddr).Port
	listener.Close()

	// The shell stops the server when its input ends, so that no server outlives the tests.
	const script = `exec 3<&0; "$@" </dev/null & server=$!
		cat <&3 >/dev/null; kill -INT $server; wait $server`
	c.server = exec.Command("/bin/sh", "-c", script, "sh", filepath.Join(c.bin, "postgres"),
		"-D", c.data(), "-p", strconv.Itoa(c.port), "-k", c.dir,
		"-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
		"-c", "max_connections=200", "-c", "logging_collector=off")
	c.server.Dir = c.dir
	c.server.Env = append(os.Environ(), "LC_ALL=C")
	c.server.SysProcAttr = c.process
	input, err := c.server.StdinPipe()
	if err != nil {
		return err
	}
	log, err := c.server.StderrPipe()
	if err != nil {
		return err
	}
	if err := c.server.Start(); err != nil {
		return err
	}
	c.input = input

	ready := make(chan error, 1)
	go func() {
		var lines []string
		scanner := bufio.NewScanner(log)
		for scanner.Scan() {
			if strings.Contains(scanner.Text(), "ready to accept") {
				ready <- nil
				_, _ = io.Copy(io.Discard, log)
				return
			}
			lines = append(lines, scanner.Text())
		}
		ready <- fmt.Errorf("the server did not start:\n%s", strings.Join(lines, "\n"))
	}()
	select {
	case err = <-ready:
	case <-time.After(time.Minute):
		err = errors.New("the server did not start within a minute")
	}
	if err != nil {
		c.stop()
	}
	return err
}

// stop stops the server and removes the cluster.
func (c *cluster) stop() {
	if c.input != nil {
		c.input.Close()
		_ = c.server.Wait()
	}
	os.RemoveAll(c.dir)
}

// dsn returns the connection string of a role for a database, over TCP.
func (c *cluster) dsn(role, password, database string) string {
	return (&url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(role, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     database,
		RawQuery: "sslmode=disable",
	}).String()
}
