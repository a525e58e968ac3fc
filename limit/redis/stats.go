package redis

// Stats is what a Limiter has done so far.
type Stats struct {
	Passed    uint64 // requests that passed, in all
	Denied    uint64 // requests that were refused
	Leased    uint64 // tokens that Redis gave before they were used
	Expired   uint64 // of these, those that were not used in time, 300 ms
	Granted   uint64 // requests that passed first and were paid for later
	Fallbacks uint64 // requests that passed on this instance's share while Redis was away
	Commands  uint64 // to Redis, or tried to
	Failures  uint64 // of these, those about clients without a usable answer
	Instances int    // that had requests in the last 15 s, as far as is known
	Clients   int    // that have an account here
	Down      bool   // Redis is believed to be unreachable
}

// Stats returns the counts up to now. It costs the same whatever the number of clients.
func (l *Limiter) Stats() Stats {
	s := Stats{Instances: l.terms.Load().instances, Commands: l.beats.Load()}
	for i := range l.shard {
		clients, t := l.shard[i].count()
		s.Clients += clients
		s.Passed += t.passed[leased] + t.passed[granted] + t.passed[local]
		s.Denied += t.passed[refused]
		s.Granted += t.passed[granted]
		s.Fallbacks += t.passed[local]
		s.Leased += t.leased
		s.Expired += t.expired
		s.Commands += t.asked
		s.Failures += t.failed
	}
	if l.conn != nil {
		s.Down = l.conn.Stats().Down
	}
	return s
}

// Clients returns how many clients have an account here: at most Config.Limit.MaxClients.
func (l *Limiter) Clients() int { return l.Stats().Clients }
