package zeptest

// Enrich embeds everything that was added since the last call, so that searches find it. Only a
// server with [WithDelayedEnrichment] needs it.
func (s *Server) Enrich() {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	clear(s.store.unembedded)
	for _, c := range s.store.collections {
		for _, d := range c.documents {
			c.embed(d, s.store.dimensions)
		}
	}
}
