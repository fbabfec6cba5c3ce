package postgres

import "time"

// SetCheck sets how often a held connection is checked, and how long the server has to answer.
func (l *Locker) SetCheck(interval, timeout time.Duration) {
	l.checkInterval, l.checkTimeout = interval, timeout
}

// Keys returns the number of keys that goroutines hold or wait for.
func (l *Locker) Keys() int {
	l.keys.mu.Lock()
	defer l.keys.mu.Unlock()
	return len(l.keys.keys)
}

// Conns returns the number of open connections.
func (l *Locker) Conns() int { return int(l.pool.Stat().TotalConns()) }

// AdvisoryKey returns the two numbers by which PostgreSQL knows the lock of key.
func AdvisoryKey(key string) (class, id int32) { return advisoryKey(key) }
