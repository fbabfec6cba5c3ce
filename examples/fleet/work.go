package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/zep-go/zep"
	"github.com/zep-go/zep/locker/postgres"
)

const (
	dsnVariable    = "ZEP_LOCKER_DSN"
	lockerVariable = "ZEP_FLEET_LOCKER" // nothing, lockerPostgres, or the stand-in's address
	lockerPostgres = "postgres"
)

// work is what a process of the fleet does: it updates the user from several goroutines. Each
// update adds a key of its own to the metadata. A goroutine whose update fails makes no more.
func work(ctx context.Context, w io.Writer, number string) error {
	options, stop, err := lockerOptions()
	if err != nil {
		return err
	}
	defer stop()
	client, err := zep.NewClient(options...)
	if err != nil {
		return err
	}
	var mu sync.Mutex // of w
	printf := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(w, format, args...)
	}
	var workers sync.WaitGroup
	for goroutine := range goroutines {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for update := range updates {
				key := fmt.Sprintf("process%s-goroutine%d-update%d", number, goroutine, update)
				_, err := client.User.Update(ctx, &zep.UpdateUserRequest{
					UserID:   userID,
					Metadata: zep.Metadata{key: true},
				})
				if err != nil {
					printf("failed %v\n", err)
					return
				}
				printf("answered %s\n", key)
			}
		}()
	}
	workers.Wait()
	return nil
}

// lockerOptions returns the options of a client that shares its locks with the other processes, if
// there are locks to share.
func lockerOptions() (options []zep.Option, stop func(), err error) {
	switch locker := os.Getenv(lockerVariable); locker {
	case "":
		return nil, func() {}, nil
	case lockerPostgres:
		shared, err := postgres.New(os.Getenv(dsnVariable))
		if err != nil {
			return nil, nil, err
		}
		return []zep.Option{zep.WithLocker(shared)}, shared.Close, nil
	default:
		return []zep.Option{zep.WithLocker(standIn{address: locker})}, func() {}, nil
	}
}
