package bench

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"
)

// dimensions is the number of numbers in the embedding of a document.
const dimensions = 384

var created = time.Date(2024, 5, 1, 12, 34, 56, 243943000, time.UTC)

// sentence is a part of messages and documents. Zep's JSON escapes some of it.
const sentence = "It is not down in any map; true places never are. “Call me Ishmael,” he said & left.\n"

// renderMemory returns the memory of a session with a summary and that many messages, of about 400
// bytes each.
func renderMemory(messages int) []byte {
	memory := Memory{Summary: &Summary{
		UUID:              uuid(0),
		CreatedAt:         created,
		Content:           sentence + sentence + sentence,
		RecentMessageUUID: uuid(1),
		TokenCount:        60,
	}}
	for i := range messages {
		memory.Messages = append(memory.Messages, &Message{
			UUID:       uuid(i + 1),
			CreatedAt:  created.Add(time.Duration(i) * time.Second),
			Role:       []string{"human", "ai"}[i%2],
			Content:    fmt.Sprintf("%d. %s%s", i, sentence, sentence),
			Metadata:   map[string]any{"intent": "small talk", "lang": "en", "turn": i / 2},
			TokenCount: 40 + i%10,
		})
	}
	return mustMarshal(memory)
}

// DocumentUUID returns the UUID of the i-th document, from 0.
func DocumentUUID(i int) string { return uuid(i) }

// renderDocuments returns that many documents, each with an embedding of length 1 or so, as a model
// gives it.
func renderDocuments(documents int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	list := make([]*Document, documents)
	for i := range list {
		embedding := make([]float32, dimensions)
		for k := range embedding {
			embedding[k] = float32(random.NormFloat64()) / 20
		}
		list[i] = &Document{
			UUID:       DocumentUUID(i),
			CreatedAt:  created,
			DocumentID: fmt.Sprintf("moby-%d", i),
			Content:    fmt.Sprintf("%d. %s%s%s", i, sentence, sentence, sentence),
			Metadata:   map[string]any{"chapter": i % 135, "title": "Moby-Dick"},
			Embedding:  embedding,
			IsEmbedded: true,
		}
	}
	return mustMarshal(list)
}

// mustMarshal returns the JSON of a response, with a line break at its end, as Zep sends it.
func mustMarshal(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // impossible: every value has a JSON
	}
	return append(data, '\n')
}

func uuid(i int) string { return string(appendPadded(nil, i)) + "-7eb4-426a-bf8c-53785cf98837" }
