package zeptest

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"
)

// store is the database: one table a resource, and one lock for them all, because deleting a user
// touches its sessions, and deleting a session its messages. Rows are never changed, only
// replaced: what was read under the lock may be sent without it. Collections and documents are not
// rows, and are only read and sent under the lock.
type store struct {
	mu       sync.RWMutex
	users    *table
	sessions *table
	messages *table
	// sessionsOf has the session ids of each user id, deleted ones too, in the order of their
	// creation.
	sessionsOf map[string][]string
	// messagesOf and summariesOf have what each session id has, in order, deleted ones aside.
	messagesOf        map[string][]string // UUIDs
	deletedMessagesOf map[string][]string
	summariesOf       map[string][]summary
	collections       map[string]*collection
	writes            int64 // see place
	lastTime          time.Time

	version    serverVersion
	dimensions int             // of the embeddings that the server makes
	delayed    bool            // embeddings wait for Enrich
	unembedded map[string]bool // UUIDs of messages that do
}

func newStore() store {
	return store{
		users:             newTable(),
		sessions:          newTable(),
		messages:          newTable(),
		sessionsOf:        map[string][]string{},
		messagesOf:        map[string][]string{},
		deletedMessagesOf: map[string][]string{},
		summariesOf:       map[string][]summary{},
		collections:       map[string]*collection{},
		version:           newestVersion,
		dimensions:        defaultDimensions,
		unembedded:        map[string]bool{},
	}
}

// now returns the time for a record that is written, in microseconds as PostgreSQL has it. It
// never returns the same time twice, so that an update always shows. The caller holds the lock.
func (s *store) now() time.Time {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if !now.After(s.lastTime) {
		now = s.lastTime.Add(time.Microsecond)
	}
	s.lastTime = now
	return now
}

// row is a record in the form in which it is sent. As JSON, a million of them fit in memory, and a
// page costs little more than copying it.
type row struct {
	id      int64
	key     string // user_id, session_id, or a message's UUID
	parent  string // a message's session_id
	json    []byte
	deleted bool // softly: it is there, but neither found nor listed
}

func newRow(id int64, key string, record any) *row {
	text, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("zeptest: a record that was decoded from JSON cannot be encoded: %v",
			err))
	}
	return &row{id: id, key: key, json: text}
}

// decode fills record with what newRow was given, with numbers as they were written.
func (r *row) decode(record any) {
	if err := decodeNumbers(r.json, record); err != nil {
		panic(fmt.Sprintf("zeptest: a stored record cannot be decoded: %v", err))
	}
}

// table has rows by key, and by id for paging. The store's lock guards it.
type table struct {
	sequence int64
	byKey    map[string]*row
	byID     []entry // ascending
	removed  int     // how many entries of byID have no row any more
}

type entry struct {
	id  int64
	row *row // nil: removed
}

func newTable() *table { return &table{byKey: map[string]*row{}} }

// nextID takes an id from the sequence. A failed insert takes one too, which leaves a gap.
func (t *table) nextID() int64 {
	t.sequence++
	return t.sequence
}

// get finds the row with this key, soft-deleted rows aside.
func (t *table) get(key string) (*row, bool) {
	r, ok := t.byKey[key]
	return r, ok && !r.deleted
}

// insert adds a row whose id is the latest from the sequence.
func (t *table) insert(r *row) {
	t.byKey[r.key] = r
	t.byID = append(t.byID, entry{r.id, r})
}

// replace puts a row in the place of the one with the same key and id.
func (t *table) replace(r *row) {
	t.byKey[r.key] = r
	t.byID[t.search(r.id)].row = r
}

// remove removes a row for good. Its entry stays until most are empty: closing the gap each time
// would make deleting a million rows quadratic.
func (t *table) remove(r *row) {
	delete(t.byKey, r.key)
	t.byID[t.search(r.id)].row = nil
	t.removed++
	if t.removed > len(t.byID)/2 {
		t.byID = slices.DeleteFunc(t.byID, func(e entry) bool { return e.row == nil })
		t.removed = 0
	}
}

// search returns the place of the first entry whose id is at least id.
func (t *table) search(id int64) int {
	i, _ := slices.BinarySearchFunc(t.byID, id, func(e entry, id int64) int {
		return cmp.Compare(e.id, id)
	})
	return i
}

// page returns the rows after the cursor, at most limit of them, or all if limit is not positive.
func (t *table) page(cursor, limit int64) []*row {
	if cursor == math.MaxInt64 {
		return nil
	}
	var rows []*row
	for _, e := range t.byID[t.search(cursor+1):] {
		if limit > 0 && int64(len(rows)) == limit {
			break
		}
		if e.row != nil && !e.row.deleted {
			rows = append(rows, e.row)
		}
	}
	return rows
}

// newUUID returns a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
