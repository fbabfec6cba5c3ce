package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProgress_Lines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Now()
	p := newProgress(&out, false)
	p.now = func() time.Time { return now }
	p.begin("users", 2000, 100) // 100 by an earlier run
	for range 10 {
		now = now.Add(time.Second)
		p.add(100, 50)
	}
	p.warn("the session %q", "s")
	p.end()
	p.end()
	assert.Equal(t, ""+
		"users             350  50/s  25%, about 15s left\n"+
		"users             600  50/s  50%, about 10s left\n"+
		"zepdump: the session \"s\"\n"+
		"users             600  50/s\n", out.String())

	out.Reset()
	p.begin("documents", 0, 0) // nobody knows how many
	now = now.Add(10 * time.Second)
	p.add(1, 20)
	assert.Equal(t, "documents          20  2.0/s\n", out.String())
}

func TestProgress_Bar(t *testing.T) {
	t.Parallel()
	for _, total := range []int64{1000, 0} {
		var out bytes.Buffer
		now := time.Now()
		p := newProgress(&out, true)
		p.now = func() time.Time { return now }
		p.begin("users", total, 0)
		now = now.Add(10 * time.Second)
		p.at(250, 200)
		p.warn("something")
		p.end()
		assert.Contains(t, out.String(), "users             200  20/s", "how many, and how fast")
		if total > 0 {
			assert.Contains(t, out.String(), " 25% |", "how far")
			assert.Regexp(t, `\[[0-9ms]+:[0-9ms]+\]`, out.String(), "how long it will take")
		}
		assert.Regexp(t, "\rusers             200  20/s\n$", out.String(), "the bar disappears")
	}
}

func TestLastID(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		last, after := random.Int64N(1<<40), int64(0)
		if random.IntN(2) == 0 {
			after = random.Int64N(last + 10)
		}
		requests := 0
		found, err := lastID(context.Background(), after, func(_ context.Context, id int64) (int, error) {
			if requests++; id < last {
				return 1, nil
			}
			return 0, nil
		})
		require.NoError(t, err)
		assert.GreaterOrEqual(t, found, min(last, after))
		assert.GreaterOrEqual(t, found, last, "never too low")
		assert.LessOrEqual(t, found-max(last, after), max((last-after)/50, 1<<12), "and not far off")
		assert.Less(t, requests, 35)
	}
}
